/** NAT, marks and tables, held to the running kernel case by case. */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { askKernel } from './cases.js';
import { NAT_CASES } from './nat-cases.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `NAT (${requirement.reason})` : 'NAT, as the kernel';

describe.skipIf(requirement.skip)(title, () => {
  it.each(NAT_CASES.map((test) => [test.name, test] as const))('%s', async (_name, test) => {
    const { differing } = await askKernel(test);
    expect(differing).toEqual([]);
  });
});
