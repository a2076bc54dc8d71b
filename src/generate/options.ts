/** From what was asked for to what is generated: defaults that fit each other, and what cannot be. */
import type { CaptureFormat } from '../capture/types.js';
import { NatreplayError } from '../errors.js';
import type { Plan, Profile } from './plan.js';
import { Shares } from './shares.js';
import type { Traffic } from './traffic.js';

/** What is not given is the profile's own, fitted to what is. */
export interface GenerateOptions {
  readonly packets?: number;
  readonly connections?: number;
  /** Connections that are open at the same time. */
  readonly concurrent?: number;
  readonly rulesCount?: number;
  /** 1 if not given. */
  readonly seed?: number;
  /** Packets in a second of capture time; 1 million if not given. */
  readonly rate?: number;
  /** pcap if not given. */
  readonly format?: CaptureFormat;
}

/** Packets of a connection when only one of their numbers is given. */
const USUAL_LENGTH = 16;
const DEFAULT_RATE = 1e6;
/** Open connections take 64 bytes each. */
const MOST_CONCURRENT = 2 ** 22;
/** Seconds from the capture's first timestamp to the last one that a pcap can hold. */
const LONGEST_TIME = 2 ** 32 - 1_700_000_000;
const LARGEST_SEED = 0xffffffff;

/** Throws NatreplayError GENERATE_*. */
export function trafficOf(profile: Profile, given: GenerateOptions = {}): Traffic {
  const { seed = 1, rate = DEFAULT_RATE, rulesCount = profile.rulesCount, format = 'pcap' } = given;
  whole('packets', given.packets, 1);
  whole('connections', given.connections, 1);
  whole('connections at a time', given.concurrent, 1);
  whole('the seed', seed, 0, LARGEST_SEED);
  if (!Number.isFinite(rate) || rate <= 0) {
    throw wrong('GENERATE_RATE', `a rate of ${rate} packets a second is none`, 'say one above 0');
  }
  if (!Number.isInteger(rulesCount) || rulesCount < profile.minRules || rulesCount > profile.maxRules) {
    const range = `${profile.minRules} to ${profile.maxRules}`;
    throw wrong(
      'GENERATE_RULES_COUNT',
      `${rulesCount} is too ${rulesCount < profile.minRules ? 'few' : 'many'}: ${profile.name} takes ${range} ${profile.rulesAre}`,
      'choose a number in between',
    );
  }
  const plan = profile.plan({ seed, rulesCount });
  const { packets, connections } = amounts(profile, plan, given);
  if (packets / rate > LONGEST_TIME / 2) {
    throw wrong(
      'GENERATE_TOO_LONG',
      `${packets} packets at ${rate} a second take longer than a pcap's timestamps last`,
      'choose a higher rate',
    );
  }
  const concurrent = Math.min(connections, given.concurrent ?? defaultConcurrent(plan, connections, rate));
  return { plan, sizes: profile.sizes, packets, connections, concurrent, seed, rate, format };
}

function amounts(profile: Profile, plan: Plan, given: GenerateOptions): { packets: number; connections: number } {
  const shares = new Shares(plan);
  const connections =
    given.connections ??
    Math.max(
      1,
      Math.min(
        profile.connections,
        plan.maxConnections,
        shares.connections(given.packets ?? profile.packets, USUAL_LENGTH),
      ),
    );
  if (connections > plan.maxConnections) {
    throw wrong(
      'GENERATE_TOO_MANY_CONNECTIONS',
      `${connections} connections are more than ${profile.name} has addresses and ports for`,
      `at most ${plan.maxConnections}`,
    );
  }
  const needed = shares.packets(connections);
  const usual =
    needed <= profile.packets ? profile.packets : shares.packets(connections, Math.max(USUAL_LENGTH, plan.shortest));
  const packets = given.packets ?? usual;
  if (packets < needed) {
    throw wrong(
      'GENERATE_TOO_FEW_PACKETS',
      `${packets} packets are too few for ${connections} connections, which need ${needed}`,
      'ask for more packets, or fewer connections',
    );
  }
  return { packets, connections };
}

/**
 * Half of all, as far as memory and the kernel's tables go. At a low rate fewer, so that the next packet of a connection
 * comes within seconds and nothing times out.
 */
function defaultConcurrent(plan: Plan, connections: number, rate: number): number {
  const soon = rate < DEFAULT_RATE ? Math.max(1, Math.floor(rate)) : MOST_CONCURRENT;
  return Math.min(Math.ceil(connections / 2), plan.maxConcurrent ?? MOST_CONCURRENT, soon);
}

function whole(what: string, value: number | undefined, from: number, to = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined || (Number.isInteger(value) && value >= from && value <= to)) return;
  const range = to === Number.MAX_SAFE_INTEGER ? `${from} on` : `${from} to ${to}`;
  throw wrong('GENERATE_NUMBER', `${what}: ${value} is no whole number from ${range}`, 'choose another');
}

function wrong(code: string, what: string, advice: string): NatreplayError {
  return new NatreplayError(code, what, { advice });
}
