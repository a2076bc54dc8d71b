/** `-m policy`: IPsec (kernel: net/netfilter/xt_policy.c). The host is taken to have none: `--pol none` holds, `--pol ipsec` does not. */
import type { Family } from '../../host/types.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import type { AddressMatch } from '../types.js';
import { applyMask, formatNetwork, parseNetwork } from '../values/addresses.js';
import { protocolNumber } from '../values/protocols.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import type { Negatable } from './portmatch.js';
import { argument, bang, find, flag, has, option, requireOne } from './support.js';

/** One step of a chain of transformations. */
export interface PolicyElement {
  reqid?: Negatable<number>;
  spi?: Negatable<number>;
  proto?: Negatable<number>;
  mode?: Negatable<string>;
  source?: AddressMatch;
  destination?: AddressMatch;
}

export interface PolicyOptions {
  readonly direction: 'in' | 'out';
  readonly policy: 'none' | 'ipsec';
  readonly strict: boolean;
  readonly elements: readonly PolicyElement[];
}

const MOST_ELEMENTS = 4;
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [50, 'esp'],
  [51, 'ah'],
  [108, 'ipcomp'],
]);
const MODES = ['transport', 'tunnel'];

const repeatable = (name: string): MatchExtension<unknown>['options'][number] => ({
  ...option(true, name),
  repeatable: true,
});

function oneOf<T extends string>(found: ParsedOption, words: readonly T[], context: ParseContext): T {
  const token = argument(found);
  const word = words.find((candidate) => candidate === token.text);
  return (
    word ??
    context.fail(
      'RULES_BAD_POLICY',
      `"${token.text}" is no value of ${found.name}`,
      token,
      `write ${words.join(' or ')}`,
    )
  );
}

function network(found: ParsedOption, context: ParseContext): AddressMatch {
  const token = argument(found);
  const parsed = parseNetwork(token.text, context.family);
  if ('wrong' in parsed)
    return context.fail(
      'RULES_BAD_ADDRESS',
      `"${token.text}" is not an address`,
      token,
      'write it as numbers: host names are not looked up',
    );
  return { negated: found.negated, address: applyMask(parsed.address, parsed.mask), mask: parsed.mask };
}

function protocol(found: ParsedOption, context: ParseContext): number {
  const token = argument(found);
  const number = protocolNumber(token.text);
  if (number !== undefined && PROTOCOLS.has(number)) return number;
  return context.fail(
    'RULES_BAD_POLICY',
    `"${token.text}" is not a protocol of IPsec`,
    token,
    'write esp, ah or ipcomp',
  );
}

/** Adds an option to the element it belongs to. */
function add(element: PolicyElement, found: ParsedOption, context: ParseContext): void {
  const { name, negated, token } = found;
  const field = ELEMENT_FIELDS.get(name);
  if (field === undefined) return;
  if (element[field] !== undefined)
    context.fail('RULES_DUPLICATE_OPTION', `${name} is given more than once`, token, 'put --next between them');
  if (field === 'source' || field === 'destination') element[field] = network(found, context);
  else if (field === 'mode') element.mode = { negated, value: oneOf(found, MODES, context) };
  else if (field === 'proto') element.proto = { negated, value: protocol(found, context) };
  else element[field] = { negated, value: parseNumber(argument(found), 0, MAX_32, context) };
}

const ELEMENT_FIELDS: ReadonlyMap<string, keyof PolicyElement> = new Map([
  ['--reqid', 'reqid'],
  ['--spi', 'spi'],
  ['--proto', 'proto'],
  ['--mode', 'mode'],
  ['--tunnel-src', 'source'],
  ['--tunnel-dst', 'destination'],
]);

function parseElements(options: readonly ParsedOption[], strict: boolean, context: ParseContext): PolicyElement[] {
  const elements: PolicyElement[] = [{}];
  for (const found of options) {
    if (found.name !== '--next') {
      add(elements.at(-1) ?? {}, found, context);
      continue;
    }
    if (!strict) context.fail('RULES_MISSING_OPTION', '--next needs --strict', found.token, 'add --strict');
    if (elements.length === MOST_ELEMENTS)
      context.fail('RULES_BAD_POLICY', `more than ${MOST_ELEMENTS} elements`, found.token, 'leave the last ones out');
    elements.push({});
  }
  for (const { mode, source, destination } of elements) {
    if ((source === undefined && destination === undefined) || (mode?.value === 'tunnel' && !mode.negated)) continue;
    context.fail(
      'RULES_MISSING_OPTION',
      '--tunnel-src and --tunnel-dst need --mode tunnel',
      undefined,
      'add --mode tunnel',
    );
  }
  if (strict && elements.some((element) => Object.keys(element).length === 0))
    context.fail(
      'RULES_MISSING_OPTION',
      'with --strict every element needs an option',
      undefined,
      'add --reqid, --spi, --proto or --mode',
    );
  return elements;
}

function printElement(
  element: PolicyElement,
  family: Family,
  lead: string,
  protoName: (number: number) => string,
): string {
  const { reqid, spi, proto, mode, source, destination } = element;
  let text = reqid === undefined ? '' : ` ${bang(reqid.negated)}${lead}reqid ${reqid.value}`;
  if (spi !== undefined) text += ` ${bang(spi.negated)}${lead}spi 0x${spi.value.toString(16)}`;
  if (proto !== undefined) text += ` ${bang(proto.negated)}${lead}proto ${protoName(proto.value)}`;
  if (mode !== undefined) text += ` ${bang(mode.negated)}${lead}mode ${mode.value}`;
  if (destination !== undefined)
    text += ` ${bang(destination.negated)}${lead}tunnel-dst ${tunnelEnd(destination, family)}`;
  if (source !== undefined) text += ` ${bang(source.negated)}${lead}tunnel-src ${tunnelEnd(source, family)}`;
  return text;
}

/** Without the mask where it is full. */
const tunnelEnd = (match: AddressMatch, family: Family): string =>
  formatNetwork(family, match).replace(/\/(32|128)$/, '');

export const policy: MatchExtension<PolicyOptions> = {
  kind: 'match',
  name: 'policy',
  summary: 'IPsec, of which the host is taken to have none',
  families: [4, 6],
  options: [
    option(false, '--dir'),
    option(false, '--pol'),
    flag(false, '--strict'),
    ...[...ELEMENT_FIELDS.keys()].map(repeatable),
    { ...flag(false, '--next'), repeatable: true },
  ],
  usableIn: ({ direction }) =>
    direction === 'in' ? ['PREROUTING', 'INPUT', 'FORWARD'] : ['FORWARD', 'OUTPUT', 'POSTROUTING'],
  parse(options, context) {
    requireOne(options, 'match policy', context, '--dir');
    const direction = find(options, '--dir');
    const found = find(options, '--pol');
    if (direction === undefined) throw new RangeError('--dir');
    const strict = has(options, '--strict');
    const word = found === undefined ? 'ipsec' : oneOf(found, ['none', 'ipsec'], context);
    if (word === 'none' && strict)
      context.fail(
        'RULES_OPTIONS_EXCLUDE',
        '--strict says nothing with --pol none',
        find(options, '--strict')?.token,
        'leave it out',
      );
    const elements = parseElements(options, strict, context);
    return { direction: oneOf(direction, ['in', 'out'], context), policy: word, strict, elements };
  },
  print({ direction, policy: word, strict, elements }, family) {
    let text = ` --dir ${direction} --pol ${word}${strict ? ' --strict' : ''}`;
    if (word === 'none') return text;
    elements.forEach((element, k) => {
      if (k > 0) text += ' --next';
      text += printElement(element, family, '--', (number) => PROTOCOLS.get(number) ?? String(number));
    });
    return text;
  },
  list({ direction, policy: word, strict, elements }, family, names) {
    const protoName = (number: number): string =>
      (names === undefined ? undefined : PROTOCOLS.get(number)) ?? String(number);
    let text = `policy match dir ${direction} pol ${word}${strict ? ' strict' : ''}`;
    if (word === 'none') return text;
    elements.forEach((element, k) => {
      if (elements.length > 1) text += ` [${k}]`;
      text += printElement(element, family, '', protoName);
    });
    return text;
  },
  compile: ({ policy: word }) => {
    const holds = word === 'none';
    return () => holds;
  },
};
