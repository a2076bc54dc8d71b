/** A capture of both families through one replay: the log, the listings and the report tell of both. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hostFromOptions, parseRules, Replayer } from '../../src/index.js';
import { connectionEntries } from '../../src/pipeline/connections.js';
import { replay } from '../../src/pipeline/replay.js';
import { conntrackText } from '../../src/report/conntrack.js';
import { temporaryFolder } from '../capture/build.js';
import { readAll } from '../capture/read.js';
import { table } from '../support/gateway.js';
import { ether, pcapFile, tcp, udp } from '../support/packets.js';

const folder = temporaryFolder();
const host = hostFromOptions({
  iface: ['lan=192.168.1.1/24,fd00:1::1/64', 'wan=203.0.113.5/24,2001:db8:5::5/64'],
  route: ['default=203.0.113.1@wan', 'default6=2001:db8:5::fe@wan'],
});
const MASQUERADE = table('nat', 'POSTROUTING -o wan -j MASQUERADE');
const rules = parseRules(MASQUERADE, { file: 'rules.v4', family: 4, unsupported: 'stop' });
const rules6 = parseRules(MASQUERADE, { file: 'rules.v6', family: 6, unsupported: 'stop' });

const query = udp({ src: '192.168.1.10:4000', dst: '198.51.100.9:53' });
const query6 = udp({ src: '[fd00:1::10]:4000', dst: '[2001:db8:9::9]:53', payload: 'q' });
const query6Out = udp({ src: '[2001:db8:5::5]:4000', dst: '[2001:db8:9::9]:53', payload: 'q', ttl: 63 });

describe('a replay of both families', () => {
  const path = folder(
    'both.pcap',
    pcapFile(
      [ether(query), Buffer.concat([ether(query6), Buffer.alloc(7)])].map((frame, i) => ({
        at: 1_700_000_000 + i,
        frame,
      })),
    ),
  );
  const run = (over: Partial<Parameters<typeof replay>[0]> = {}): ReturnType<typeof replay> =>
    replay({ captures: [{ path }], host, rules, rules6, ...over });

  it('translates each by its own rules, and cuts padding from both', async () => {
    const output = folder('out.pcap');
    const packetLog = folder('log.ndjson');
    await run({ output, packetLog });
    const log = readFileSync(packetLog, 'utf8').trimEnd().split('\n');
    expect(JSON.parse(log[1] ?? '')).toMatchObject({
      in: 'lan',
      verdict: 'forward',
      state: 'new',
      nat: 'snat',
      rule: 'nat:POSTROUTING:1',
      before: 'udp [fd00:1::10]:4000 > [2001:db8:9::9]:53',
      after: 'udp [2001:db8:5::5]:4000 > [2001:db8:9::9]:53',
      out: [{ iface: 'wan', record: 1 }],
    });
    const { records } = await readAll(output);
    expect(records[1]?.frame).toBe(Buffer.from(ether(query6Out)).toString('hex'));
  });

  it('counts the rules of both, and lists the connections of both', async () => {
    const { result, engine } = await run();
    expect(
      result.rules.map(({ ruleset, packets, bytes, notEvaluated }) => [
        ruleset.family,
        packets('nat', 'POSTROUTING', 1),
        bytes('nat', 'POSTROUTING', 1),
        notEvaluated,
      ]),
    ).toEqual([
      [4, 1, 28, []],
      [6, 1, 49, []],
    ]);
    expect(result.connections).toMatchObject({ created: 2, live: 2 });
    expect([...connectionEntries(engine)].map(({ family }) => family)).toEqual([4, 6]);
    expect(conntrackText(connectionEntries(engine)).split('\n')[1]).toBe(
      'udp      17 30 src=fd00:1::10 dst=2001:db8:9::9 sport=4000 dport=53 [UNREPLIED] src=2001:db8:9::9 dst=2001:db8:5::5 sport=53 dport=4000 mark=0 use=1',
    );
  });

  it('without IPv6 rules routes IPv6, and says nothing of a state', async () => {
    const { result } = await run({ rules6: undefined });
    expect(result.verdicts).toMatchObject({ forward: 2, translated: 1 });
  });

  it('infers a host for both', async () => {
    const { result } = await run({ host: undefined });
    expect(result.verdicts).toMatchObject({ forward: 2, translated: 2 });
    expect(result.assumptions.join('\n')).toContain('default6=@wan');
  });
});

it('a replayer has the rules of both families too', () => {
  const replayer = new Replayer({ host, rules, rules6 });
  const frame = ether(tcp({ src: '[fd00:1::10]:4000', dst: '[2001:db8:9::9]:80', flags: 'S' }));
  expect(replayer.feed({ iface: 'lan', frame, seconds: 1 })).toMatchObject({
    verdict: 'forward',
    egress: 'wan',
    nat: 'snat',
  });
  expect(replayer.counters6()).toContain('[1:60] -A POSTROUTING -o wan -j MASQUERADE');
  expect(replayer.counters()).toContain('[0:0] -A POSTROUTING -o wan -j MASQUERADE');
  expect(replayer.connections()).toHaveLength(1);
});
