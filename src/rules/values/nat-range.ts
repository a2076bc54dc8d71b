/** `ADDRESS[-ADDRESS][:PORT[-PORT[/BASE]]]`, the argument of --to-destination and --to-source, and the flags beside it. */
import { formatAddress, parseAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { NatRange, ParseContext, ParsedOption, Token } from '../extension.js';
import { parsePort } from './ports.js';

/** Protocols with ports (or ICMP ids) that NAT can map: ICMP, TCP, UDP, DCCP, ICMPv6, SCTP. */
const MAPPABLE = [1, 6, 17, 33, 58, 132];

export interface PortPart {
  readonly min: number;
  readonly max: number;
  readonly base: number | undefined;
}

export function requireMappableProtocol(context: ParseContext, token: Token): void {
  if (MAPPABLE.includes(context.protocol)) return;
  context.fail(
    'RULES_PORT_WITHOUT_PROTOCOL',
    `a port needs a protocol that has ports ("${token.text}")`,
    token,
    'add -p tcp, -p udp, -p sctp or -p dccp to the rule',
  );
}

/** `80`, `80-90`, and with `shift` also `80-90/8080`. */
export function parsePortPart(text: string, token: Token, context: ParseContext, shift: boolean): PortPart {
  const dash = text.indexOf('-');
  if (dash < 0) {
    const port = parsePort(text, token, context);
    return { min: port, max: port, base: undefined };
  }
  const slash = text.indexOf('/', dash);
  const min = parsePort(text.slice(0, dash), token, context);
  const max = parsePort(text.slice(dash + 1, slash < 0 ? undefined : slash), token, context);
  if (min > max) context.fail('RULES_BAD_PORT', `port range ${min}-${max} runs backwards`, token, 'swap its ends');
  if (slash < 0) return { min, max, base: undefined };
  if (!shift) {
    context.fail('RULES_BAD_PORT', 'a base port is for --to-destination only', token, `leave out ${text.slice(slash)}`);
  }
  return { min, max, base: parsePort(text.slice(slash + 1), token, context) };
}

/** The address part split from the port part; IPv6 addresses stand in brackets when a port follows. */
function splitAddress(text: string, family: Family): { addresses: string; ports: string | undefined } {
  if (family === 4) {
    const colon = text.indexOf(':');
    if (colon < 0) return { addresses: text, ports: undefined };
    return { addresses: text.slice(0, colon), ports: text.slice(colon + 1) };
  }
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return { addresses: bracketed[1] ?? '', ports: bracketed[2] };
  if (/^:[0-9a-z/-]*$/.test(text) && !text.startsWith('::')) return { addresses: '', ports: text.slice(1) };
  return { addresses: text, ports: undefined };
}

/** What MASQUERADE and REDIRECT have beside the address that they find themselves. */
export interface PortNatOptions {
  readonly ports: { readonly min: number; readonly max: number } | undefined;
  readonly random: boolean;
  readonly randomFully: boolean;
}

/** A range of one address, with the ports asked for. The address is not copied. */
export function rangeOfOne(
  address: Uint32Array,
  { ports, random, randomFully }: PortNatOptions = { ports: undefined, random: false, randomFully: false },
): NatRange {
  return {
    minAddress: address,
    maxAddress: address,
    minPort: ports?.min,
    maxPort: ports?.max,
    basePort: undefined,
    random,
    randomFully,
    persistent: false,
  };
}

export function parseNatRange(options: readonly ParsedOption[], option: string, context: ParseContext): NatRange {
  const token = options.find((found) => found.name === option)?.args[0];
  if (token === undefined)
    return context.fail('RULES_MISSING_OPTION', `${option} is missing`, undefined, `add ${option} ADDRESS`);
  const { addresses, ports } = splitAddress(token.text, context.family);
  if (addresses === '' && (ports === undefined || ports === '')) {
    context.fail('RULES_BAD_ADDRESS', `"${token.text}" names neither an address nor a port`, token, 'name one of them');
  }
  if (ports !== undefined) requireMappableProtocol(context, token);
  const part = ports === undefined ? undefined : parsePortPart(ports, token, context, option === '--to-destination');
  const [minAddress, maxAddress] = addresses === '' ? [] : parseAddressRange(addresses, token, context);
  return { minAddress, maxAddress, minPort: part?.min, maxPort: part?.max, basePort: part?.base, ...natFlags(options) };
}

/** `A` or `A-B`. */
export function parseAddressRange(text: string, token: Token, context: ParseContext): [Uint32Array, Uint32Array] {
  const dash = text.indexOf('-');
  const read = (part: string): Uint32Array => {
    const address = parseAddress(part, context.family)?.words;
    if (address !== undefined) return address;
    const what = `"${part}" is not an IPv${context.family} address`;
    return context.fail('RULES_BAD_ADDRESS', what, token, 'write it as numbers: host names are not looked up');
  };
  if (dash < 0) {
    const address = read(text);
    return [address, address];
  }
  return [read(text.slice(0, dash)), read(text.slice(dash + 1))];
}

export function natFlags(options: readonly ParsedOption[]): Pick<NatRange, 'random' | 'randomFully' | 'persistent'> {
  const has = (name: string): boolean => options.some((found) => found.name === name);
  return { random: has('--random'), randomFully: has('--random-fully'), persistent: has('--persistent') };
}

export function formatNatRange(range: NatRange, family: Family): string {
  const { minAddress: min, maxAddress: max, minPort, maxPort, basePort } = range;
  let text = '';
  if (min !== undefined) {
    const first = formatAddress(family, min);
    const last = formatAddress(family, max ?? min);
    text = first === last ? first : `${first}-${last}`;
    if (family === 6 && minPort !== undefined) text = `[${text}]`;
  }
  if (minPort !== undefined) text += `:${formatPortPart(minPort, maxPort ?? minPort)}`;
  if (basePort !== undefined) text += `/${basePort}`;
  return text;
}

export function formatPortPart(min: number, max: number): string {
  return min === max ? String(min) : `${min}-${max}`;
}

/** The flags as words, each after `lead` (` --` when saving, ` ` in listings). */
export function formatNatFlags(range: NatRange, lead: string): string {
  let text = '';
  if (range.random) text += `${lead}random`;
  if (range.randomFully) text += `${lead}random-fully`;
  if (range.persistent) text += `${lead}persistent`;
  return text;
}
