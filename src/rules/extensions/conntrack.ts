/** `-m conntrack`: what connection tracking knows of the packet's connection (kernel: net/netfilter/xt_conntrack.c). */
import { formatAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { ConnectionView } from '../context.js';
import type { ListNames, MatchExtension, ParseContext, ParsedOption, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { inNetwork, isZero, listNetwork, type Network, parseNetwork } from '../values/addresses.js';
import { nameNetwork } from '../values/hostnames.js';
import { parseUnsigned } from '../values/numbers.js';
import { formatPortRange, type PortRange, parsePortRange } from '../values/ports.js';
import { protocolNumber } from '../values/protocols.js';
import { formatStates, parseStates } from './states.js';
import { argument, bang, option } from './support.js';

interface Test<T> {
  readonly negated: boolean;
  readonly value: T;
}

type AddressField = 'originalSource' | 'originalDestination' | 'replySource' | 'replyDestination';
type PortField = `${AddressField}Port`;

export interface ConntrackOptions {
  /** STATE_* bits. */
  readonly state: Test<number> | undefined;
  readonly protocol: Test<number> | undefined;
  readonly addresses: readonly (Test<Network> & { readonly field: AddressField })[];
  readonly ports: readonly (Test<PortRange> & { readonly field: PortField })[];
  /** STATUS bits. */
  readonly status: Test<number> | undefined;
  /** Seconds. */
  readonly expire: Test<PortRange> | undefined;
  readonly direction: 'ORIGINAL' | 'REPLY' | undefined;
}

const ADDRESSES: readonly (readonly [string, AddressField])[] = [
  ['ctorigsrc', 'originalSource'],
  ['ctorigdst', 'originalDestination'],
  ['ctreplsrc', 'replySource'],
  ['ctrepldst', 'replyDestination'],
];

const EXPECTED = 1;
const SEEN_REPLY = 2;
const ASSURED = 4;
const CONFIRMED = 8;
const STATUSES: readonly (readonly [string, number])[] = [
  ['EXPECTED', EXPECTED],
  ['SEEN_REPLY', SEEN_REPLY],
  ['ASSURED', ASSURED],
  ['CONFIRMED', CONFIRMED],
];
const MAX_SECONDS = 0xffffffff;

function parseStatus(token: Token, context: ParseContext): number {
  let mask = 0;
  for (const word of token.text.split(',')) {
    const known = STATUSES.find(([name]) => name === word.toUpperCase());
    if (known !== undefined) mask |= known[1];
    else if (word.toUpperCase() !== 'NONE') {
      const names = [...STATUSES.map(([name]) => name), 'NONE'];
      const advice = didYouMean(word, names, names.join(', '));
      context.fail('RULES_BAD_STATUS', `"${word}" is not a connection status`, token, advice);
    }
  }
  return mask;
}

function formatStatus(mask: number): string {
  const names = STATUSES.filter(([, bit]) => (mask & bit) !== 0).map(([name]) => name);
  return names.length === 0 ? 'NONE' : names.join(',');
}

function parseExpire(token: Token, context: ParseContext): PortRange {
  const [low = '', high] = token.text.split(':', 2);
  const read = (text: string, missing: number): number => {
    if (text === '') return missing;
    const value = parseUnsigned(text, MAX_SECONDS);
    return (
      value ??
      context.fail('RULES_BAD_NUMBER', `"${text}" is not a number of seconds`, token, 'write it like 60 or 60:300')
    );
  };
  const min = read(low, 0);
  return { min, max: high === undefined ? min : read(high, MAX_SECONDS) };
}

function parseCtNetwork(token: Token, context: ParseContext): Network {
  const network = parseNetwork(token.text, context.family);
  if (!('wrong' in network)) return network;
  const what = `"${token.text}" is not an IPv${context.family} address or network`;
  return context.fail('RULES_BAD_ADDRESS', what, token, 'write it as numbers: host names are not looked up');
}

function parseCtProtocol(token: Token, context: ParseContext): number {
  const number = protocolNumber(token.text);
  return number ?? context.fail('RULES_BAD_PROTOCOL', `"${token.text}" is not a protocol`, token, 'write its number');
}

function parseDirection(found: ParsedOption | undefined, context: ParseContext): 'ORIGINAL' | 'REPLY' | undefined {
  if (found === undefined) return undefined;
  const word = argument(found).text.toUpperCase();
  if (word === 'ORIGINAL' || word === 'REPLY') return word;
  return context.fail('RULES_BAD_DIRECTION', `"${word}" is not a direction`, found.args[0], 'ORIGINAL or REPLY');
}

/** The options in words, each after `lead` (`--` when saving, nothing in listings). */
function describe(options: ConntrackOptions, family: Family, lead: string, names?: ListNames): string[] {
  const words: string[] = [];
  const add = (negated: boolean, name: string, value: string): void => {
    words.push(`${bang(negated)}${lead}${name} ${value}`);
  };
  const { state, protocol, status, expire, direction } = options;
  if (state !== undefined) add(state.negated, 'ctstate', formatStates(state.value));
  if (protocol !== undefined) add(protocol.negated, 'ctproto', String(protocol.value));
  for (const [name, field] of ADDRESSES) {
    const test = options.addresses.find((candidate) => candidate.field === field);
    if (test !== undefined)
      add(test.negated, name, (names === undefined ? formatCtNetwork : nameCtNetwork)(family, test.value));
  }
  for (const [name, field] of ADDRESSES) {
    const test = options.ports.find((candidate) => candidate.field === `${field}Port`);
    if (test !== undefined) add(test.negated, `${name}port`, formatPortRange(test.value));
  }
  if (status !== undefined) add(status.negated, 'ctstatus', formatStatus(status.value));
  if (expire !== undefined) add(expire.negated, 'ctexpire', formatPortRange(expire.value));
  if (direction !== undefined) add(false, 'ctdir', direction);
  return words;
}

function formatCtNetwork(family: Family, network: Network): string {
  return network.mask.some((word) => word !== 0)
    ? listNetwork(family, network)
    : `${formatAddress(family, network.address)}/0`;
}

/** Here it is an address of zeros that is anywhere, whatever its mask. */
function nameCtNetwork(family: Family, network: Network): string {
  if (isZero(network.address)) return 'anywhere';
  return isZero(network.mask) ? formatCtNetwork(family, network) : nameNetwork(family, network);
}

export const conntrack: MatchExtension<ConntrackOptions> = {
  kind: 'match',
  name: 'conntrack',
  summary: 'state, tuples, status, expiry and direction of the connection',
  families: [4, 6],
  options: [
    option(true, '--ctstate'),
    option(true, '--ctproto'),
    ...ADDRESSES.map(([name]) => option(true, `--${name}`)),
    ...ADDRESSES.map(([name]) => option(true, `--${name}port`)),
    option(true, '--ctstatus'),
    option(true, '--ctexpire'),
    option(false, '--ctdir'),
  ],
  parse(options, context) {
    if (options.length === 0) {
      context.fail('RULES_MISSING_OPTION', 'match conntrack needs an option', undefined, 'add --ctstate');
    }
    const get = (name: string): ParsedOption | undefined => options.find((found) => found.name === name);
    const test = <T>(name: string, read: (token: Token, context: ParseContext) => T): Test<T> | undefined => {
      const found = get(name);
      return found === undefined ? undefined : { negated: found.negated, value: read(argument(found), context) };
    };
    return {
      state: test('--ctstate', (token) => parseStates(token, context, true)),
      protocol: test('--ctproto', parseCtProtocol),
      addresses: ADDRESSES.flatMap(([name, field]) => {
        const found = test(`--${name}`, parseCtNetwork);
        return found === undefined ? [] : [{ ...found, field }];
      }),
      ports: ADDRESSES.flatMap(([name, field]) => {
        const found = test(`--${name}port`, (token) => parsePortRange(token, context));
        return found === undefined ? [] : [{ ...found, field: `${field}Port` as const }];
      }),
      status: test('--ctstatus', parseStatus),
      expire: test('--ctexpire', parseExpire),
      direction: parseDirection(get('--ctdir'), context),
    };
  },
  print(options, family) {
    return describe(options, family, '--')
      .map((word) => ` ${word}`)
      .join('');
  },
  list(options, family, names) {
    return describe(options, family, '', names).join(' ');
  },
  reads({ state, ...others }) {
    const { addresses, ports, protocol, status, expire, direction } = others;
    const asksMore = [protocol, status, expire, direction].some((option) => option !== undefined);
    return state === undefined || asksMore || addresses.length + ports.length > 0 ? undefined : {};
  },
  compile(options) {
    const { state } = options;
    const mask = state?.value ?? 0;
    const stateNot = state?.negated ?? false;
    const holds = connectionTest(options);
    return (packet) => {
      if (state !== undefined && ((packet.state & mask) !== 0) === stateNot) return false;
      const { connection } = packet;
      // Without a connection the kernel goes by the state alone.
      if (connection === undefined) return state !== undefined;
      return holds(connection);
    };
  },
};

/** Everything but the state. */
function connectionTest(options: ConntrackOptions): (connection: ConnectionView) => boolean {
  const { protocol, addresses, ports, status, expire, direction } = options;
  return (connection) => {
    if (direction !== undefined && connection.original !== (direction === 'ORIGINAL')) return false;
    for (const { field, value, negated } of addresses) {
      if (inNetwork(connection[field], value) === negated) return false;
    }
    if (protocol !== undefined && (connection.protocol === protocol.value) === protocol.negated) return false;
    for (const { field, value, negated } of ports) {
      const port = connection[field];
      if ((port >= value.min && port <= value.max) === negated) return false;
    }
    if (status !== undefined && ((statusOf(connection) & status.value) !== 0) === status.negated) return false;
    if (expire === undefined) return true;
    const seconds = Math.floor(connection.expiresIn);
    return (seconds >= expire.value.min && seconds <= expire.value.max) !== expire.negated;
  };
}

/** IPS_* bits; connections expected by a helper do not arise here, so EXPECTED is never set. */
function statusOf(connection: ConnectionView): number {
  return (
    (connection.seenReply ? SEEN_REPLY : 0) |
    (connection.assured ? ASSURED : 0) |
    (connection.confirmed ? CONFIRMED : 0)
  );
}
