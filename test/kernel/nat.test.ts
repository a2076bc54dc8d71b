/**
 * natreplay against the running kernel: the same packets, every output byte for byte, what the host was given, and the
 * counters of every rule. Ports that the kernel drew at random are told to the engine before it chooses (prediction.ts).
 */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { runScenario } from './mismatches.js';
import { SCENARIOS } from './scenarios.js';

const requirement = needs({ root: true, commands: [...neededCommands('legacy'), ...neededCommands('nft')] });
const title = requirement.skip ? `against the running kernel (${requirement.reason})` : 'against the running kernel';

const PACKETS = 500;

describe.skipIf(requirement.skip)(title, () => {
  it.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    const { agreed, differing } = await runScenario(scenario, 'legacy', 1, PACKETS);
    expect(differing).toEqual([]);
    // Traffic of which little comes out proves little.
    expect(agreed).toBeGreaterThan(PACKETS / 3);
  });

  it.each(SCENARIOS.slice(0, 2).map((scenario) => [scenario.name, scenario] as const))(
    '%s, iptables-nft',
    async (_name, scenario) => {
      const { differing } = await runScenario(scenario, 'nft', 2, PACKETS);
      expect(differing).toEqual([]);
    },
  );
});
