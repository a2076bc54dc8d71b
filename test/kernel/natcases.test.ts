/** NAT, marks and tables, held to the running kernel case by case. */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { askKernel } from './cases.js';
import { Gateways } from './gateways.js';
import { NAT_CASES } from './nat-cases.js';

const requirement = needs({ root: true, commands: [...neededCommands('legacy'), ...neededCommands('nft'), 'unshare'] });
const title = requirement.skip ? `NAT (${requirement.reason})` : 'NAT, as the kernel';

describe.skipIf(requirement.skip)(title, () => {
  const gateways = new Gateways();
  afterAll(() => gateways.close());
  it.each(NAT_CASES.map((test) => [test.name, test] as const))('%s', async (_name, test) => {
    const { differing, predicted } = await askKernel(test, gateways);
    expect(differing).toEqual([]);
    expect(counted(restored(predicted.counters))).toEqual(counted(predicted.counters));
  });

  it('what --counters writes goes through iptables-nft-restore, too', async () => {
    const marks = NAT_CASES.find(({ name }) => name.startsWith('A1'));
    expect(marks).toBeDefined();
    if (marks === undefined) return;
    const { predicted } = await askKernel(marks, gateways);
    expect(counted(restored(predicted.counters, 'nft'))).toEqual(counted(predicted.counters));
  });
});

/** The rules loaded with their counters, and saved again. */
function restored(counters: string, backend: 'legacy' | 'nft' = 'legacy'): string {
  const script = `iptables-${backend}-restore -c && iptables-${backend}-save -c`;
  const { stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], { input: counters, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout;
}

const counted = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^[[:]/.test(line))
    .sort();
