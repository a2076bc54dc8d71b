/** The host's own answers to packets that it refuses, byte for byte as the running kernel makes them. */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { ANSWER_CASES } from './answer-cases.js';
import { ANSWER_CASES6 } from './answer-cases6.js';
import { askKernel } from './cases.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `the host's own answers (${requirement.reason})` : "the host's own answers";

describe.skipIf(requirement.skip)(title, () => {
  it.each([...ANSWER_CASES, ...ANSWER_CASES6].map((test) => [test.name, test] as const))('%s', async (_name, test) => {
    const { differing } = await askKernel(test);
    expect(differing).toEqual([]);
  });
});
