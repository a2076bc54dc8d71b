/** Connection tracking of UDP, UDP-Lite, SCTP, DCCP, GRE and the rest, and zones, held to the running kernel case by case. */
import { afterAll, describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { askKernel } from './cases.js';
import { CONNTRACK_CASES } from './conntrack-cases.js';
import { Gateways } from './gateways.js';
import { ZONE_CASES } from './zone-cases.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `connection tracking (${requirement.reason})` : 'connection tracking, as the kernel';

describe.skipIf(requirement.skip)(title, () => {
  const gateways = new Gateways();
  afterAll(() => gateways.close());
  it.each([...CONNTRACK_CASES, ...ZONE_CASES].map((test) => [test.name, test] as const))('%s', async (_name, test) => {
    const { differing, conntrack, predicted } = await askKernel(test, gateways);
    expect(differing).toEqual([]);
    expect(lines(predicted.conntrack)).toEqual(lines(conntrack));
  });
});

/** `conntrack -L` character by character, but for the seconds left. */
function lines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.includes('src='))
    .map((line) => line.replace(/^(\S+ +\d+) \d+ /, '$1 SECONDS '))
    .sort();
}
