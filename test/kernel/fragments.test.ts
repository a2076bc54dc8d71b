/** natreplay against the running kernel over random fragments; `fragmentfuzz.ts` for as many seeds as one likes. */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { runFragments } from './fragmentrun.js';
import { FRAGMENT_SCENARIOS } from './fragmenttraffic.js';
import { FRAGMENT_SCENARIOS6 } from './fragmenttraffic6.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `random fragments (${requirement.reason})` : 'random fragments';

describe.skipIf(requirement.skip)(title, () => {
  const scenarios = [...FRAGMENT_SCENARIOS, ...FRAGMENT_SCENARIOS6];
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    const { agreed, differing } = await runFragments(scenario, 'legacy', 1, 300);
    expect(differing).toEqual([]);
    expect(agreed).toBeGreaterThan(80);
  });
});
