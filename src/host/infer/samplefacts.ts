/** What a capture gives away: who talks to whom, from which side. */
import { formatAddress, type Prefix, parsePrefix, prefixContains, sameAddress } from '../address.js';
import type { Family } from '../types.js';
import { isLoopback, isUnicast, type PublishedPort } from './rulefacts.js';

/** A packet of the capture, seen from outside. */
export interface Sample {
  /** Where it came in, if the capture or the command line says so; `@local` is the host itself. */
  readonly iface: string | undefined;
  readonly family: Family;
  readonly source: Uint32Array;
  readonly destination: Uint32Array;
  readonly protocol: number;
  /** 0 for protocols without ports. */
  readonly destinationPort: number;
}

export interface Seen {
  readonly family: Family;
  readonly words: Uint32Array;
  /** Interface of the packets in question, if stated. */
  readonly iface: string | undefined;
  readonly packets: number;
}

const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'];
/** Parsed when first asked for: a run with a host file never asks. */
let privatePrefixes: Prefix[] | undefined;

/** Addresses of private networks (RFC 1918, RFC 6598, RFC 4193). */
export function isPrivate(family: Family, words: Uint32Array): boolean {
  privatePrefixes ??= PRIVATE.flatMap((text) => parsePrefix(text) ?? []);
  return privatePrefixes.some((prefix) => prefix.family === family && prefixContains(prefix, words));
}

export function isInside(networks: readonly Prefix[], family: Family, words: Uint32Array): boolean {
  return networks.some((network) => network.family === family && prefixContains(network, words));
}

/** Destinations of packets to published ports, most packets first: the host's own addresses. */
export function publishedDestinations(
  samples: readonly Sample[],
  published: readonly PublishedPort[],
  inside: readonly Prefix[],
): Seen[] {
  const to = samples.filter(
    (sample) =>
      isPublished(sample, published) && !isInside(inside, sample.family, sample.destination) && isCandidate(sample),
  );
  return withoutPeers(tally(to.map((sample) => ({ ...sample, words: sample.destination }))), samples);
}

/**
 * A capture of both directions shows the host's own packets too, also those to somebody else's port of the same number:
 * an address that one of the host's talks to is not another one of its own.
 */
function withoutPeers(candidates: readonly Seen[], samples: readonly Sample[]): Seen[] {
  const own: Seen[] = [];
  for (const candidate of candidates) {
    const isPeer = samples.some(
      ({ family, source, destination }) =>
        family === candidate.family &&
        sameAddress(destination, candidate.words) &&
        own.some((address) => sameAddress(address.words, source)),
    );
    if (!isPeer) own.push(candidate);
  }
  return own;
}

function isPublished(sample: Sample, published: readonly PublishedPort[]): boolean {
  return published.some(
    ({ family, protocol, low, high }) =>
      family === sample.family &&
      (protocol === 0 || protocol === sample.protocol) &&
      sample.destinationPort >= low &&
      sample.destinationPort <= high,
  );
}

/**
 * The destination that most senders from outside talk to: where no port is published, this is most likely the host's own
 * address. Of equals the one seen first.
 */
export function mostSoughtDestination(
  samples: readonly Sample[],
  family: Family,
  inside: readonly Prefix[],
): Seen | undefined {
  const from = samples.filter(
    (sample) =>
      sample.family === family &&
      sample.iface !== '@local' &&
      isCandidate(sample) &&
      !isInside(inside, family, sample.destination) &&
      !isInside(inside, family, sample.source),
  );
  const senders = new Map<string, Set<string>>();
  for (const { source, destination } of from) {
    const key = formatAddress(family, destination);
    const known = senders.get(key) ?? new Set();
    senders.set(key, known.add(formatAddress(family, source)));
  }
  const seen = tallyInOrder(from.map((sample) => ({ ...sample, words: sample.destination })));
  const sought = (address: Seen): number => senders.get(formatAddress(family, address.words))?.size ?? 0;
  return seen.reduce<Seen | undefined>(
    (best, next) => (best === undefined || sought(next) > sought(best) ? next : best),
    undefined,
  );
}

/** Sources the host itself sends from, most packets first. */
export function localSources(samples: readonly Sample[]): Seen[] {
  const local = samples.filter((sample) => sample.iface === '@local');
  return tally(local.map((sample) => ({ ...sample, words: sample.source, iface: undefined }))).filter(
    (seen) => !isLoopback(seen),
  );
}

/** Private addresses that packets come from, with the side they come from. */
export function privateSources(samples: readonly Sample[]): Seen[] {
  const from = samples.filter(({ iface, family, source }) => iface !== '@local' && isPrivate(family, source));
  return tallyInOrder(from.map((sample) => ({ ...sample, words: sample.source })));
}

function isCandidate({ family, destination }: Sample): boolean {
  const seen = { family, words: destination };
  return isUnicast(seen) && !isLoopback(seen);
}

function tally(items: readonly Omit<Seen, 'packets'>[]): Seen[] {
  return tallyInOrder(items).sort((a, b) => b.packets - a.packets);
}

/** Each address once, in the order of its first packet, with the interface of that packet. */
function tallyInOrder(items: readonly Omit<Seen, 'packets'>[]): Seen[] {
  const byAddress = new Map<string, Seen>();
  for (const { family, words, iface } of items) {
    const key = formatAddress(family, words);
    const known = byAddress.get(key);
    byAddress.set(key, {
      family,
      words: known?.words ?? words.slice(),
      iface: known?.iface ?? iface,
      packets: (known?.packets ?? 0) + 1,
    });
  }
  return [...byAddress.values()];
}
