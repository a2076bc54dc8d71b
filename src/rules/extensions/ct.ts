/**
 * `-j CT` and `-j NOTRACK`: how a packet is to be tracked, or that it is not (kernel: net/netfilter/xt_CT.c). Helpers and
 * timeout policies are not known here: both need something set up beside the rules.
 */
import type { ParseContext, ParsedOption, TargetAction, TargetExtension } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, find, flag, has, option } from './support.js';

export interface CtOptions {
  readonly notrack: boolean;
  /** Events that are sent to whoever listens; they change nothing about packets. */
  readonly connectionEvents: string | undefined;
  readonly expectationEvents: string | undefined;
  /** `mark`: the packet's mark is the number. */
  readonly zone: number | 'mark';
  /** The zone holds for packets of the original direction (bit 0), of the reply direction (bit 1). */
  readonly directions: number;
}

const MAX_ZONE = 0xffff;
const BOTH = 3;
const ZONES = ['--zone', '--zone-orig', '--zone-reply'] as const;
const DIRECTIONS: Readonly<Record<string, number>> = { '--zone': BOTH, '--zone-orig': 1, '--zone-reply': 2 };

const NOTRACK: TargetAction = { kind: 'notrack' };

export const notrack: TargetExtension<undefined> = {
  kind: 'target',
  name: 'NOTRACK',
  summary: 'takes the packet out of connection tracking',
  families: [4, 6],
  tables: ['raw'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [],
  listName: 'CT',
  parse: () => undefined,
  print: () => '',
  list: () => 'NOTRACK',
  compile: () => NOTRACK,
};

/** Several zones may be written: the last one's number holds, and the directions of `--zone-orig` and `--zone-reply` add up. */
function parseZone(options: readonly ParsedOption[], context: ParseContext): Pick<CtOptions, 'zone' | 'directions'> {
  let zone: number | 'mark' = 0;
  let directions = 0;
  for (const found of options) {
    const own = DIRECTIONS[found.name];
    if (own === undefined) continue;
    const token = argument(found);
    const number = token.text === 'mark' ? 'mark' : parseUnsigned(token.text, MAX_ZONE);
    zone = number ?? context.fail('RULES_BAD_ZONE', `"${token.text}" is not a zone`, token, '0-65535, or mark');
    if (own !== BOTH) directions |= own;
  }
  return { zone, directions: directions === 0 ? BOTH : directions };
}

/** The options in words, each after `lead` (`--` when saving, nothing in listings). */
function words({ notrack, connectionEvents, expectationEvents, zone, directions }: CtOptions, lead: string): string {
  let text = '';
  if (notrack) text += ` ${lead}notrack`;
  if (connectionEvents !== undefined) text += ` ${lead}ctevents ${connectionEvents}`;
  if (expectationEvents !== undefined) text += ` ${lead}expevents ${expectationEvents}`;
  const name = ZONES.find((candidate) => DIRECTIONS[candidate] === directions) ?? '--zone';
  return zone === 0 ? text : `${text} ${lead}${name.slice(2)} ${zone}`;
}

export const ct: TargetExtension<CtOptions> = {
  kind: 'target',
  name: 'CT',
  summary: 'takes the packet out of connection tracking (--notrack), or says in which zone it is tracked',
  families: [4, 6],
  tables: ['raw'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [
    flag(false, '--notrack'),
    option(false, '--helper'),
    option(false, '--timeout'),
    option(false, '--ctevents'),
    option(false, '--expevents'),
    ...ZONES.map((name) => option(false, name)),
  ],
  parse(options, context) {
    const missing = options.find(({ name }) => name === '--helper' || name === '--timeout');
    if (missing !== undefined) context.unsupported(`target CT ${missing.name}`, missing.token);
    const text = (name: string): string | undefined => {
      const found = find(options, name);
      return found === undefined ? undefined : argument(found).text;
    };
    return {
      notrack: has(options, '--notrack'),
      connectionEvents: text('--ctevents'),
      expectationEvents: text('--expevents'),
      ...parseZone(options, context),
    };
  },
  print: (options) => words(options, '--'),
  list: (options) => `CT${words(options, '')}`,
  compile({ notrack, zone, directions }) {
    return notrack ? NOTRACK : { kind: 'zone', zone, directions };
  },
};
