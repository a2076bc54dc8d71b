/** `natreplay explain` as a command: its arguments, a record of a capture, and what is said of bad input. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { explanationSchema } from '../../src/explain/json.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';

const folder = scratch();
afterAll(() => folder.remove());

const DOCKER = `${ROOT}captures/docker-bridge`;
const HOME = `${ROOT}captures/home-gateway`;
const PACKET = 'tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0';
const explain = (...args: string[]): ReturnType<typeof inProcess> => inProcess(['explain', ...args]);

describe('a packet in words', () => {
  it('in one argument or several, and where --rules would swallow it', async () => {
    const ways = [
      [PACKET, '--host', `${DOCKER}/host.json`],
      [...PACKET.split(' '), '--host', `${DOCKER}/host.json`],
      ['--host', `${DOCKER}/host.json`, '--rules', `${DOCKER}/rules.v4`, PACKET],
    ];
    for (const args of ways) {
      const { code, stdout, stderr } = await explain(...args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('Outcome sent out of docker0 as tcp 198.51.100.7:40000 > 172.17.0.3:1337 SYN\n');
    }
  });

  it('as JSON, as a flowchart, with the tables that are asked for', async () => {
    const host = ['--host', `${DOCKER}/host.json`];
    const { stdout } = await explain(PACKET, ...host, '--json', folder.at('it.json'), '-q', '--tables', 'nat');
    expect(stdout).toBe('');
    const json = explanationSchema.parse(JSON.parse(readFileSync(folder.at('it.json'), 'utf8')));
    const steps = json.journey.path.flatMap((stage) => (stage.kind === 'hook' ? stage.steps : []));
    expect([...new Set(steps.map(({ kind }) => kind))]).toEqual(['conntrack', 'nat', 'confirm']);
    expect((await explain(PACKET, ...host, '--format', 'mermaid')).stdout).toMatch(/^flowchart TD\n/);
  });

  it('without a host, says what was assumed', async () => {
    const { code, stderr, stdout } = await explain(
      'tcp 192.168.1.10:4000 > 198.51.100.1:80 in lan0',
      '--rules',
      `${HOME}/rules.v4`,
    );
    expect(code).toBe(0);
    expect(stderr).toContain('natreplay: warning: assumed: Interface lan0 is taken to have');
    expect(stdout).toContain('Outcome sent out of wan0');
  });
});

describe('a record of a capture', () => {
  it('in its connection: the port is taken by one that came before', async () => {
    const { code, stdout } = await explain('--packet', '40', `lan0=${HOME}/lan0.pcap`, '--host', `${HOME}/host.json`);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /the source is mapped to 203\.0\.113\.2; port \d+ instead of 50000: 50000 is taken by tcp 192\.168\.1\.1\d:50000 > 198\.51\.100\.80:80\n/,
    );
    expect(stdout).toMatch(/Reply tcp 198\.51\.100\.80:80 > 203\.0\.113\.2:\d+ SYN,ACK, in wan0/);
  });

  it('that the host itself sent is not played', async () => {
    const { stdout } = await explain('--packet', '1', `${DOCKER}/any.pcap`, '--host', `${DOCKER}/host.json`);
    expect(stdout).toContain('Outcome not played: it is what the host itself sent, as it was recorded\n');
  });

  it('that is not there', async () => {
    const { code, stderr } = await explain('--packet', '99999', `${HOME}/lan0.pcap`, '--host', `${HOME}/host.json`);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(
        /^natreplay: there is no record 99999; the captures hold \d+, which are counted from 0 to \d+\n$/,
      ),
    });
  });
});

describe('bad input', () => {
  const host = ['--host', `${DOCKER}/host.json`];
  it.each<[string, string[], string]>([
    ['no packet', host, 'no packet is named; state one'],
    [
      'a packet that is none',
      ['tpc 1.2.3.4:5 > 1.2.3.4:6', ...host],
      'packet:1:1: "tpc" is no protocol; did you mean tcp?',
    ],
    [
      'an interface that is not there',
      ['tcp 1.2.3.4:5 > 1.2.3.4:6 in eth9', ...host],
      'the host has no interface eth9; did you mean eth0?',
    ],
    ['--packet without a capture', ['--packet', '3', ...host], 'no capture is named'],
    ['--packet without a number', ['--packet', 'x', ...host], "argument 'x' is invalid: it must be a whole number"],
    ['an unknown format', [PACKET, ...host, '--format', 'svg'], 'Allowed choices are text, mermaid'],
    ['rules that are not there', [PACKET, ...host, '--rules', 'nothing.v4'], 'nothing.v4: there is no such file'],
    [
      'JSON over the rules',
      [PACKET, '--rules', `${DOCKER}/rules.v4`, '--json', `${DOCKER}/rules.v4`],
      'is the --rules as well',
    ],
  ])('%s', async (_, args, said) => {
    const { code, stdout, stderr } = await explain(...args);
    expect(stderr).toMatch(/^natreplay: [^\n]*\n$/);
    expect(stderr.toLowerCase()).toContain(said.toLowerCase());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});
