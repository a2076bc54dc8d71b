/** The figures that are the same on every machine, over a recorded capture. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MemoryCapture } from '../../src/bench/capture.js';
import { exactPass } from '../../src/bench/exact.js';
import type { Subject } from '../../src/bench/subject.js';
import { withRules } from '../../src/bench/sweep.js';
import { loadHost, loadRules } from '../../src/cli/inputs.js';
import { replay } from '../../src/pipeline/replay.js';
import { ROOT } from '../support/cli.js';

const DOCKER = join(ROOT, 'captures/docker-bridge');
const at = (name: string): string => join(DOCKER, name);
const OPTIONS = { seed: 1, checksums: 'offload' } as const;

function docker(): Subject {
  const host = loadHost({ host: at('host.json'), iface: [], route: [] });
  if (host === undefined) throw new Error('no host');
  const rules = loadRules({ rules: [at('rules.v4')], rules6: [], unsupported: 'stop' }, host, undefined);
  return { label: 'docker', host, rules: rules.ipv4, rules6: undefined };
}

describe('a capture in memory', () => {
  it('is read as the file is, again and again', async () => {
    const capture = await MemoryCapture.load([{ path: at('any.pcap') }]);
    const [first, second] = [await exactPass(capture, docker(), OPTIONS), await exactPass(capture, docker(), OPTIONS)];
    expect(second).toEqual(first);
    expect(first.figures.packets).toBe(534);
  });

  it('is told from others by its bytes and by the interfaces it is assigned to', async () => {
    const hashes = await Promise.all(
      [{ path: at('any.pcap') }, { path: at('eth0.pcap') }, { path: at('eth0.pcap'), iface: 'eth0' }].map(
        async (input) => (await MemoryCapture.load([input])).sha256,
      ),
    );
    expect(new Set(hashes).size).toBe(3);
  });
});

describe('exact figures', () => {
  const inputs = [
    { path: at('eth0.pcap'), iface: 'eth0' },
    { path: at('docker0.pcap'), iface: 'docker0' },
  ];

  it('agree with what a replay counts', async () => {
    const subject = docker();
    const { host, rules } = subject;
    const { result } = await replay({ captures: inputs, host, rules });
    const { figures, begins } = await exactPass(await MemoryCapture.load(inputs), subject, OPTIONS);
    const { translated: _, ...verdicts } = result.verdicts;
    expect(figures).toMatchObject({ packets: result.records, verdicts, connections: result.connections.created });
    expect(begins.reduce((sum, one) => sum + one, 0)).toBe(result.connections.created);
    expect(begins).toHaveLength(result.records);
  });

  it('the output is another when the rules are', async () => {
    const capture = await MemoryCapture.load(inputs);
    const { figures } = await exactPass(capture, docker(), OPTIONS);
    const without = await exactPass(capture, { ...docker(), rules: undefined }, OPTIONS);
    expect(without.figures.outputSha256).not.toBe(figures.outputSha256);
    expect(without.figures).toMatchObject({ rulesEvaluated: 0, connections: 0, rulesPerConnection: undefined });
  });

  it('rules in front that no packet matches are looked at by every first packet, and change nothing else', async () => {
    const capture = await MemoryCapture.load(inputs);
    const { figures } = await exactPass(capture, docker(), OPTIONS);
    const longer = await exactPass(capture, withRules(docker(), 100), OPTIONS);
    expect(longer.figures.outputSha256).toBe(figures.outputSha256);
    expect(longer.figures.verdicts).toEqual(figures.verdicts);
    expect(longer.figures.rulesPerConnection?.max).toBe((figures.rulesPerConnection?.max ?? 0) + 100);
  });
});
