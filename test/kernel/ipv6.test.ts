/** natreplay against the running kernel over IPv6, as nat.test.ts does it for IPv4. */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { runScenario } from './mismatches.js';
import { SCENARIOS6 } from './scenarios6.js';

const requirement = needs({ root: true, commands: [...neededCommands('legacy'), ...neededCommands('nft')] });
const title = requirement.skip ? `against the running kernel (${requirement.reason})` : 'against the running kernel';

const PACKETS = 300;

describe.skipIf(requirement.skip)(title, () => {
  it.each(SCENARIOS6.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    const { agreed, differing } = await runScenario(scenario, 'legacy', 1, PACKETS, { odd: 0.15, errors: 0.05 });
    expect(differing).toEqual([]);
    // Traffic of which little comes out proves little.
    expect(agreed).toBeGreaterThan(PACKETS / 4);
  });

  it.each(
    SCENARIOS6.filter(({ rules6 }) => rules6?.includes('*filter') === true).map(
      (scenario) => [scenario.name, scenario] as const,
    ),
  )('%s, ip6tables-nft', async (_name, scenario) => {
    const { differing } = await runScenario(scenario, 'nft', 2, PACKETS, { odd: 0.15, errors: 0.05 });
    expect(differing).toEqual([]);
  });
});
