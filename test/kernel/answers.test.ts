/** The host's own answers to packets that it refuses, byte for byte as the running kernel makes them. */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { ANSWER_CASES, CLOSED_TWICE } from './answer-cases.js';
import { ANSWER_CASES6 } from './answer-cases6.js';
import { askKernel } from './cases.js';
import { EXPIRY_CASES } from './expiry-cases.js';
import { OPTION_ANSWER_CASES } from './option-answer-cases.js';
import { REDIRECT_CASES, REDIRECTS_IN_A_ROW } from './redirect-cases.js';

const CASES = [
  ...ANSWER_CASES,
  ...ANSWER_CASES6,
  ...REDIRECT_CASES,
  REDIRECTS_IN_A_ROW,
  ...OPTION_ANSWER_CASES,
  ...EXPIRY_CASES,
];

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `the host's own answers (${requirement.reason})` : "the host's own answers";

describe.skipIf(requirement.skip)(title, () => {
  it.each(CASES.map((test) => [test.name, test] as const))('%s', async (_name, test) => {
    const { differing } = await askKernel(test);
    expect(differing).toEqual([]);
  });

  it(CLOSED_TWICE.name, async () => {
    const { differing, conntrack, predicted } = await askKernel(CLOSED_TWICE);
    expect(differing).toEqual([]);
    for (const listing of [conntrack, predicted.conntrack]) {
      const left = new Map(
        listing.split('\n').map((line) => [/sport=(\d+)/.exec(line)?.[1], Number(line.split(/\s+/)[2])]),
      );
      expect(left.get('4000')).toBeLessThanOrEqual(4);
      expect(left.get('4001')).toBeGreaterThan(30);
    }
  });
});
