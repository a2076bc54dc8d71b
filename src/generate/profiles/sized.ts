/** Plain TCP and UDP through a gateway, in and out, by packet size: what benchmarks of forwarding use. */
import { type Plan, type PlanOptions, type Profile, type Shape, TCP, UDP } from '../plan.js';
import { BYTES_64, type FrameSizes, IMIX } from '../sizes.js';
import { GATEWAY, GatewayEnds, MAX_EACH_WAY, MAX_PUBLISHED, publishedPorts, rulesText } from './gateway.js';

/** Every other connection is outbound; one in five of either way is UDP. */
const PATTERN = Array.from({ length: 10 }, (_, i): Shape => ({ kind: i < 8 ? TCP : UDP }));

function plan({ seed, rulesCount }: PlanOptions): Plan {
  const published = publishedPorts(rulesCount);
  const ends = new GatewayEnds(seed, published);
  return {
    world: GATEWAY,
    rules: rulesText(published),
    pattern: PATTERN,
    shortest: 8,
    maxConnections: 2 * MAX_EACH_WAY,
    conversation(index, into) {
      const ordinal = Math.floor(index / 2);
      into.kind = ordinal % 5 === 4 ? UDP : TCP;
      if (index % 2 === 0) ends.outbound(ordinal, into);
      else ends.inbound(ordinal, into.kind === UDP, into);
    },
  };
}

function sized(name: string, about: string, sizes: FrameSizes, packets: number): Profile {
  return {
    name,
    about,
    sizes,
    packets,
    connections: 100_000,
    rulesCount: 100,
    rulesAre: 'published ports',
    minRules: 2,
    maxRules: MAX_PUBLISHED,
    plan,
  };
}

export const bytes64 = sized('64byte', 'frames of 64 bytes, masqueraded and to published ports', BYTES_64, 5_000_000);
export const imix = sized('imix', 'the same with 60, 590 and 1514 bytes, 7 : 4 : 1', IMIX, 2_000_000);
