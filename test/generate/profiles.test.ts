/** What natreplay and the kernel make of every profile: all of it passes, and both agree. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { PROFILES } from '../../src/generate/profiles.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { inProcess, scratch } from '../support/cli.js';
import { needs } from '../support/requirements.js';

const folder = scratch();
afterAll(() => folder.remove());

const NAMES = PROFILES.map(({ name }) => name);

/** Makes a capture in a folder of its own; returns it, and the options that name what belongs to it. */
async function made(name: string, packets: number, file: string): Promise<{ capture: string; belonging: string[] }> {
  const directory = folder.at(`${name}-${packets}-${file}`);
  execFileSync('mkdir', ['-p', directory]);
  const capture = `${directory}/${file}`;
  const { code, stderr } = await inProcess(['generate', name, '-w', capture, '--packets', `${packets}`, '-q']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const rules6 = existsSync(`${directory}/rules.v6`) ? ['--rules6', `${directory}/rules.v6`] : [];
  return { capture, belonging: ['--host', `${directory}/host.json`, '--rules', `${directory}/rules.v4`, ...rules6] };
}

describe('a replay', () => {
  it.each(NAMES)('%s: every packet is forwarded, none is invalid', async (name) => {
    const { capture, belonging } = await made(name, 3000, 'c.pcap');
    const log = `${capture}.log`;
    const ran = await inProcess(['replay', capture, ...belonging, '--packet-log', log, '-q']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const entries = readFileSync(log, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(entries).toHaveLength(3000);
    const verdicts = new Set(entries.map(({ verdict }) => verdict));
    expect(verdicts).toEqual(new Set(name === 'fragments' || name === 'mix' ? ['forward', 'held'] : ['forward']));
    expect(entries.filter(({ state }) => state === 'invalid')).toEqual([]);
  });

  it('kubernetes: chance chooses endpoints of services that have several', async () => {
    const { capture, belonging } = await made('kubernetes', 3000, 'k.pcap');
    const counters = `${capture}.counters`;
    await inProcess(['replay', capture, ...belonging, '--counters', counters, '-q']);
    const chosen = readFileSync(counters, 'utf8').match(/^\[[1-9][0-9]*:\d+\] .* --mode random /gm) ?? [];
    expect(chosen.length).toBeGreaterThan(5);
  });
});

const kernel = needs({ root: true, commands: neededCommands('legacy') });

describe.skipIf(kernel.skip)(`the kernel${kernel.skip ? ` (${kernel.reason})` : ''}`, () => {
  it.each(NAMES)('%s: agrees about every packet, counter and connection', async (name) => {
    const { capture, belonging } = await made(name, 300, 'c.pcapng');
    const ran = await inProcess(['verify', capture, ...belonging]);
    expect(ran.stdout).toContain('packets      300 agree, 0 differ');
    expect(ran.stdout).toContain('dropped 0');
    expect(ran.code).toBe(0);
  });
});

const tshark = needs({ commands: ['tshark'] });

describe.skipIf(tshark.skip)(`tshark${tshark.skip ? ` (${tshark.reason})` : ''}`, () => {
  // Between them they have every kind of packet; starting tshark takes longer than all else here.
  it.each(['mix', 'icmp-errors', 'kubernetes', 'syn-flood', '64byte'])(
    '%s: nothing malformed, no bad checksum, nothing odd about TCP',
    async (name) => {
      const { capture } = await made(name, 1500, 't.pcap');
      // The payload means nothing, so nothing above TCP and UDP is to look at it.
      const decoding = ['-d', 'tcp.port==1-65535,data', '-d', 'udp.port==1-65535,data'];
      const checks = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]);
      const wrong = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].map((protocol) => `${protocol}.checksum.status == 0`);
      const filter = ['_ws.malformed', 'tcp.analysis.flags && !icmp', ...wrong].join(' || ');
      const found = execFileSync(
        'tshark',
        ['-r', capture, ...decoding, ...checks, '-Y', filter, '-T', 'fields', '-e', 'frame.number'],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
      expect(found).toBe('');
    },
  );
});
