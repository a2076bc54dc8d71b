/** A flood of SYNs to published ports from forged addresses, and among it connections that mean it. */
import { type Plan, type PlanOptions, type Profile, type Shape, TCP } from '../plan.js';
import { SHORTEST } from '../sizes.js';
import { GATEWAY, GatewayEnds, MAX_EACH_WAY, MAX_PUBLISHED, publishedPorts, rulesText } from './gateway.js';

/** One in 20 is a whole connection; of the others, every second SYN is answered. */
const WHOLE: Shape = { kind: TCP };
const PATTERN: readonly Shape[] = [
  WHOLE,
  ...Array.from({ length: 19 }, (_, i): Shape => ({ kind: TCP, packets: 1 + (i % 2) })),
];

function plan({ seed, rulesCount }: PlanOptions): Plan {
  const published = publishedPorts(rulesCount);
  const ends = new GatewayEnds(seed, published);
  return {
    world: GATEWAY,
    rules: rulesText(published),
    pattern: PATTERN,
    shortest: 8,
    // Of the connections that mean it, one in 20.
    maxConnections: Math.min(20 * MAX_EACH_WAY, 2 ** 30),
    maxConcurrent: 4096,
    conversation(index, into) {
      into.kind = TCP;
      if (index % PATTERN.length === 0) ends.inbound(index / PATTERN.length, false, into);
      else ends.flood(index, into);
    },
  };
}

export const synFlood: Profile = {
  name: 'syn-flood',
  about: 'SYNs from forged addresses to published ports, and a few connections that mean it',
  sizes: SHORTEST,
  packets: 1_000_000,
  connections: 500_000,
  rulesCount: 10,
  rulesAre: 'published ports',
  minRules: 2,
  maxRules: MAX_PUBLISHED,
  plan,
};
