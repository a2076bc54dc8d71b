/** Ports that DNAT publishes: rules, where they lead, and the packets behind the translation. */
import { formatAddress } from '../../host/address.js';
import type { Family, Host } from '../../host/types.js';
import { STATE_DNAT, STATE_NEW } from '../context.js';
import type { NatRange } from '../extension.js';
import {
  type Box,
  DESTINATION,
  DESTINATION_PORT,
  FLAGS,
  HEADER,
  IN,
  LATER_FRAGMENT,
  OUT,
  PROTOCOL,
  type Region,
  SOURCE,
  STATE,
  span,
} from '../meaning/box.js';
import { includes, onlyNumber, type ValueSet } from '../meaning/intervals.js';
import { addressValue, afterAddress } from '../meaning/matchfields.js';
import { namesLike } from '../meaning/universe.js';
import type { Rule } from '../types.js';
import { hooksOf, type LintContext, liveRules } from './context.js';

export interface Published {
  readonly rule: Rule;
  readonly address: Uint32Array;
  /** Undefined: the port stays. */
  readonly ports: { readonly min: number; readonly max: number } | undefined;
  /** What comes in from outside the host and is translated. */
  readonly region: Region;
}

/** DNAT rules that packets from outside get to, and that name an address. */
export function publishedPorts(context: LintContext): Published[] {
  const reach = context.reaches.get('nat');
  if (reach === undefined) return [];
  return [...liveRules(reach)].flatMap((rule): Published[] => {
    if (rule.target?.kind !== 'extension' || rule.target.extension.name !== 'DNAT') return [];
    if (!hooksOf(rule, reach).has('PREROUTING')) return [];
    const { minAddress, minPort, maxPort } = rule.target.options as NatRange;
    if (minAddress === undefined) return [];
    const region = (reach.regions.get(rule) ?? []).filter(({ sets }) => !isNothing(sets[IN]));
    const ports = minPort === undefined ? undefined : { min: minPort, max: maxPort ?? minPort };
    return region.length === 0 ? [] : [{ rule, address: minAddress, ports, region }];
  });
}

const isNothing = (names: ValueSet | undefined): boolean => names !== undefined && includes(namesLike(''), names);

/** An interface that no rule names. */
const STRANGER = namesLike('\ufffe');

/** Whether it is open to interfaces that nobody has thought of. */
export function isWide(box: Box): boolean {
  const names = box.sets[IN];
  return names === undefined || includes(names, STRANGER);
}

export function addressSet(words: Uint32Array, family: Family): ValueSet {
  const from = addressValue(words, family);
  return [{ from, to: afterAddress(from) }];
}

/** The first packets of published connections as FORWARD (or INPUT) sees them. `out`: undefined: not known. */
export function translated({ address, ports, region }: Published, family: Family, out: string | undefined): Region {
  return region.map(({ sets }) => {
    const behind = new Array<ValueSet | undefined>(sets.length).fill(undefined);
    behind[SOURCE] = sets[SOURCE];
    behind[IN] = sets[IN];
    behind[PROTOCOL] = sets[PROTOCOL];
    behind[DESTINATION] = addressSet(address, family);
    behind[DESTINATION_PORT] = ports === undefined ? sets[DESTINATION_PORT] : span(ports.min, ports.max);
    behind[STATE] = span(STATE_NEW | STATE_DNAT, STATE_NEW | STATE_DNAT);
    behind[LATER_FRAGMENT] = span(0, 0);
    behind[HEADER] = span(20, 65535);
    if (onlyNumber(sets[PROTOCOL]) === 6) behind[FLAGS] = span(2, 2);
    if (out !== undefined) behind[OUT] = namesLike(out);
    return { sets: behind, terms: [] };
  });
}

/** `172.17.0.3:1337` */
export function targetOf({ address, ports }: Published, family: Family): string {
  const text = formatAddress(family, address);
  if (ports === undefined) return text;
  const port = ports.min === ports.max ? String(ports.min) : `${ports.min}-${ports.max}`;
  return family === 6 ? `[${text}]:${port}` : `${text}:${port}`;
}

/** The interface that leads to an address; undefined if there is no way, or it is the host's own. */
export function wayTo(host: Host | undefined, family: Family, address: Uint32Array): string | undefined {
  const route = host?.route(family, address);
  return route?.type === 'unicast' ? host?.interfaces[route.iface]?.name : undefined;
}

export function isLoopback(family: Family, address: Uint32Array): boolean {
  if (family === 4) return (address[0] ?? 0) >>> 24 === 127;
  return formatAddress(6, address) === '::1';
}

export function isLocal(host: Host | undefined, family: Family, address: Uint32Array): boolean {
  return isLoopback(family, address) || host?.route(family, address)?.type === 'local';
}
