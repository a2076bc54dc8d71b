/**
 * A host when none is stated: a plausible router, from what the rules and the capture give away. It is made of the very
 * options that would state it, so every assumption can be confirmed or corrected on the command line.
 */
import type { Ruleset } from '../../rules/types.js';
import {
  addressBits,
  formatAddress,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  sameAddress,
} from '../address.js';
import { EMPTY_HOST, type HostDescription } from '../description.js';
import { applyOptions, isInterfaceName } from '../hostoptions.js';
import { makeHost } from '../machine.js';
import type { Family, Host } from '../types.js';
import { factsOf, type NamedPrefix, type RuleFacts } from './rulefacts.js';
import {
  isInside,
  isPrivate,
  localSources,
  mostSoughtDestination,
  privateSources,
  publishedDestinations,
  type Sample,
} from './samplefacts.js';

export type { Sample } from './samplefacts.js';

export interface InferenceInput {
  readonly rulesets: readonly Ruleset[];
  /** Some packets of the capture (the first few thousand do), in its order. */
  readonly samples: readonly Sample[];
}

/** Own addresses taken over from the capture, at the most: it may be a scan. */
const MOST_OWN = 8;
const MOST_NETWORKS = 64;

/** Addresses for documentation (RFC 5737, RFC 3849): for a host of which nothing is known. */
const UNKNOWN_ADDRESS: Readonly<Record<Family, readonly string[]>> = {
  4: ['203.0.113.1', '198.51.100.1', '192.0.2.1'],
  6: ['2001:db8::1'],
};

export function inferHost(input: InferenceInput): Host {
  return makeHost(inferDescription(input));
}

/** The same, before it is made into something that answers questions. */
export function inferDescription(input: InferenceInput): HostDescription {
  const plan = new Plan(input);
  const described = applyOptions(EMPTY_HOST, { iface: plan.ifaceOptions(), route: plan.routeOptions() });
  return { ...described, assumptions: plan.assumptions() };
}

interface PlannedAddress extends Prefix {
  readonly why: string;
}

class Plan {
  private readonly facts: RuleFacts;
  private readonly families: readonly Family[];
  /** The interface that leads outside. */
  private readonly outside: string;
  private readonly inside: readonly NamedPrefix[];
  /** By interface name; in the order the interfaces shall have. */
  private readonly interfaces = new Map<string, PlannedAddress[]>();

  constructor(private readonly input: InferenceInput) {
    this.facts = factsOf(input.rulesets);
    this.families = familiesOf(input);
    this.inside = insideNetworks(this.facts, input.samples);
    this.outside = this.chooseOutside();
    this.interfaces.set(this.outside, []);
    for (const name of [...this.facts.names, ...input.samples.map((sample) => sample.iface)]) this.addInterface(name);
    for (const network of this.inside) this.placeNetwork(network);
    for (const family of this.families) this.placeOwn(family);
  }

  ifaceOptions(): string[] {
    return [...this.interfaces].map(([name, addresses]) => ifaceOption(name, addresses));
  }

  routeOptions(): string[] {
    return this.families.map((family) => `${family === 4 ? 'default' : 'default6'}=@${this.outside}`);
  }

  assumptions(): string[] {
    const interfaces = [...this.interfaces].map(([name, addresses]) => {
      const option = `--iface ${ifaceOption(name, addresses)}`;
      if (addresses.length === 0) return `Interface ${name} is taken to have no address. State it with ${option}`;
      const why = addresses.map(
        ({ family, words, prefixLength, why }) => `${formatPrefix(family, words, prefixLength)} (${why})`,
      );
      return `Interface ${name} is taken to have ${why.join(' and ')}. State it with ${option}`;
    });
    const routes = this.routeOptions().map(
      (option, i) =>
        `All other IPv${this.families[i]} destinations are taken to be reached over ${this.outside}. State it with --route ${option}`,
    );
    return [...interfaces, ...routes];
  }

  /** Translating rules say it best, then the packets to published ports, then the names. */
  private chooseOutside(): string {
    const insideNames = new Set(this.inside.map((network) => network.name));
    const [published] = publishedDestinations(this.input.samples, this.facts.published, this.inside);
    const named = [...this.facts.outside, published?.iface, ...this.facts.names];
    const sampled = this.input.samples.map((sample) => sample.iface);
    const candidates = [...named, ...sampled].filter((name) => isUsableName(name) && !insideNames.has(name));
    return candidates.find((name) => name !== undefined) ?? 'eth0';
  }

  private addInterface(name: string | undefined): void {
    if (name !== undefined && isUsableName(name) && !this.interfaces.has(name)) this.interfaces.set(name, []);
  }

  /** A network nobody names goes to an interface that has none of its family yet, or to a new one. */
  private placeNetwork(network: NamedPrefix): void {
    const { family, prefixLength, why } = network;
    const vacant = [...this.interfaces].find(
      ([name, addresses]) => name !== this.outside && !addresses.some((address) => address.family === family),
    );
    const name = network.name ?? vacant?.[0] ?? this.lastInside() ?? (this.outside === 'eth1' ? 'eth0' : 'eth1');
    this.addInterface(name);
    const first = networkOf(family, network.words, prefixLength);
    const words = this.ownInside(network) ?? firstHost(family, first);
    this.interfaces.get(name)?.push({ family, words, prefixLength, why });
  }

  private lastInside(): string | undefined {
    return [...this.interfaces.keys()].filter((name) => name !== this.outside).at(-1);
  }

  /** The host's own address inside a network, where the rules state one. */
  private ownInside(network: Prefix): Uint32Array | undefined {
    return this.facts.own.find(({ family, words }) => isInside([network], family, words))?.words;
  }

  private placeOwn(family: Family): void {
    for (const own of this.ownAddresses(family)) {
      const name = own.name !== undefined && this.interfaces.has(own.name) ? own.name : this.outside;
      const addresses = this.interfaces.get(name) ?? [];
      if (isInside(this.inside, family, own.words) || addresses.some(({ words }) => sameAddress(words, own.words)))
        continue;
      addresses.push({ family, words: own.words, prefixLength: this.prefixFor(own, name), why: own.why });
    }
  }

  private ownAddresses(
    family: Family,
  ): { name: string | undefined; family: Family; words: Uint32Array; why: string }[] {
    const { samples } = this.input;
    const stated = this.facts.own.filter((own) => own.family === family);
    const published = publishedDestinations(samples, this.facts.published, this.inside)
      .filter((seen) => seen.family === family)
      .slice(0, MOST_OWN)
      .map((seen) => ({ ...seen, name: seen.iface, why: "where the capture's packets to published ports go" }));
    const local = localSources(samples)
      .filter((seen) => seen.family === family)
      .slice(0, MOST_OWN)
      .map((seen) => ({ ...seen, name: undefined, why: 'where the packets of @local come from' }));
    const known = [...stated, ...published, ...local];
    if (known.some(({ words }) => !isInside(this.inside, family, words))) return known;
    const sought = mostSoughtDestination(samples, family, this.inside);
    if (sought !== undefined) {
      const why = 'the destination in the capture that most senders from outside talk to';
      return [...known, { ...sought, name: sought.iface, why }];
    }
    return [
      ...known,
      {
        name: undefined,
        family,
        words: this.unknownAddress(family),
        why: 'nothing says which, so one for documentation',
      },
    ];
  }

  /** One whose subnet the capture does not have. */
  private unknownAddress(family: Family): Uint32Array {
    const length = family === 4 ? 24 : 64;
    const candidates = UNKNOWN_ADDRESS[family].flatMap((text) => parseAddress(text)?.words ?? []);
    const free = candidates.find((words) => {
      const subnet = [{ family, words, prefixLength: length }];
      return !this.input.samples.some(
        (sample) =>
          sample.family === family &&
          (isInside(subnet, family, sample.source) || isInside(subnet, family, sample.destination)),
      );
    });
    return free ?? candidates[0] ?? new Uint32Array(4);
  }

  /** /24 and /64, unless the link has two ends only or the subnet would swallow one of the inside. */
  private prefixFor(own: { family: Family; words: Uint32Array }, name: string): number {
    const bits = addressBits(own.family);
    if (/^(ppp|tun|wg|ipsec|vti|gre|sit)/.test(name)) return bits;
    const usual = { family: own.family, words: own.words, prefixLength: own.family === 4 ? 24 : 64 };
    return this.inside.some((network) => isInside([usual], network.family, network.words)) ? bits : usual.prefixLength;
  }
}

function familiesOf({ rulesets, samples }: InferenceInput): Family[] {
  const seen = new Set<Family>([
    ...rulesets.map((ruleset) => ruleset.family),
    ...samples.map((sample) => sample.family),
  ]);
  const families = ([4, 6] as const).filter((family) => seen.has(family));
  return families.length === 0 ? [4] : families;
}

/** Networks the rules name, then those around the addresses they lead to, then those of private senders. */
function insideNetworks(facts: RuleFacts, samples: readonly Sample[]): NamedPrefix[] {
  const networks: NamedPrefix[] = [];
  for (const network of facts.networks) merge(networks, network);
  for (const { name, family, words, why } of facts.neighbours) {
    if (name === undefined && !isPrivate(family, words)) continue;
    if (name !== undefined && facts.outside.includes(name)) continue;
    merge(networks, { name, family, words, prefixLength: usualLength(family, words), why });
  }
  if (facts.hidesSources) {
    for (const { family, words, iface } of privateSources(samples)) {
      if (networks.length >= MOST_NETWORKS) break;
      const name = iface === undefined || facts.outside.includes(iface) ? undefined : iface;
      if (iface !== undefined && name === undefined) continue;
      merge(networks, { name, family, words, prefixLength: family === 4 ? 24 : 64, why: 'where private senders are' });
    }
  }
  return networks;
}

/** Docker's networks are /16. */
function usualLength(family: Family, words: Uint32Array): number {
  if (family === 6) return 64;
  return (words[0] ?? 0) >>> 20 === 0xac1 ? 16 : 24;
}

/** Adds a network unless it is known; a network that had no interface may get one. */
function merge(networks: NamedPrefix[], network: NamedPrefix): void {
  const at = networks.findIndex((known) => isInside([known], network.family, network.words));
  const known = networks[at];
  if (known === undefined)
    networks.push({ ...network, words: networkOf(network.family, network.words, network.prefixLength) });
  else if (known.name === undefined && network.name !== undefined) networks[at] = { ...known, name: network.name };
}

function firstHost(family: Family, network: Uint32Array): Uint32Array {
  const words = network.slice();
  const last = family === 4 ? 0 : 3;
  words[last] = (words[last] ?? 0) + 1;
  return words;
}

function ifaceOption(name: string, addresses: readonly Prefix[]): string {
  return `${name}=${addresses.map(({ family, words, prefixLength }) => `${formatAddress(family, words)}/${prefixLength}`).join(',')}`;
}

function isUsableName(name: string | undefined): boolean {
  return name !== undefined && isInterfaceName(name) && !/[=@]/.test(name) && name !== 'lo';
}
