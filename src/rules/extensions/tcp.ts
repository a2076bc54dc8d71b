/** `-m tcp`: ports, flags and options of TCP (kernel: net/netfilter/xt_tcpudp.c, tcp_mt). */
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';
import { type FieldTest, matchesFields, portTests } from './nftfields.js';
import {
  compilePorts,
  listPorts,
  type Negatable,
  onlyDestinationPorts,
  PORT_OPTIONS,
  type PortOptions,
  parseNegatable,
  parsePorts,
  printPorts,
  readsPorts,
} from './portmatch.js';
import { argument, bang, exclusive, flag, option } from './support.js';

export interface TcpOptions extends PortOptions {
  /** Bits of byte 13 of the header. */
  readonly flags: Negatable<{ readonly mask: number; readonly set: number }> | undefined;
  /** Kind of a TCP option that must be there. */
  readonly option: Negatable<number> | undefined;
}

const HEADER = 20;
const FLAGS: readonly (readonly [string, number])[] = [
  ['FIN', 0x01],
  ['SYN', 0x02],
  ['RST', 0x04],
  ['PSH', 0x08],
  ['ACK', 0x10],
  ['URG', 0x20],
];
const ALL_FLAGS = 0x3f;
const SYN_MASK = 0x17;

function parseFlags(token: Token, context: ParseContext): number {
  let bits = 0;
  for (const word of token.text.split(',')) {
    const name = word.toUpperCase();
    const known = FLAGS.find(([flagName]) => flagName === name);
    if (known !== undefined) bits |= known[1];
    else if (name === 'ALL') bits |= ALL_FLAGS;
    else if (name !== 'NONE') {
      const names = [...FLAGS.map(([flagName]) => flagName), 'ALL', 'NONE'];
      context.fail(
        'RULES_BAD_TCP_FLAG',
        `"${word}" is not a TCP flag`,
        token,
        didYouMean(word, names, names.join(', ')),
      );
    }
  }
  return bits;
}

function formatFlags(bits: number): string {
  if (bits === 0) return 'NONE';
  return FLAGS.filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(',');
}

function parseOption(found: ParsedOption, context: ParseContext): number {
  const token = argument(found);
  const kind = parseUnsigned(token.text, 255);
  if (kind !== undefined && kind > 0) return kind;
  return context.fail(
    'RULES_BAD_NUMBER',
    `"${token.text}" is not a TCP option kind (1-255)`,
    token,
    'write it as a number',
  );
}

/** Option kinds are looked for as the kernel does, which takes a length byte of 0 for 1. */
function hasTcpOption(packet: PacketContext, kind: number, length: number): boolean {
  const { bytes } = packet;
  const end = packet.l4 + length;
  let at = packet.l4 + HEADER;
  while (at < end) {
    const found = bytes[at] as number;
    if (found === kind) return true;
    if (found < 2 || at + 1 >= end) at++;
    else at += (bytes[at + 1] as number) || 1;
  }
  return false;
}

export const tcp: MatchExtension<TcpOptions> = {
  kind: 'match',
  name: 'tcp',
  summary: 'TCP source and destination ports, flags and options',
  families: [4, 6],
  protocols: [6],
  options: [
    ...PORT_OPTIONS,
    { names: ['--tcp-flags'], args: 2, negatable: true },
    flag(true, '--syn'),
    option(true, '--tcp-option'),
  ],
  parse(options, context) {
    exclusive(options, context, '--tcp-flags', '--syn');
    const get = (name: string): ParsedOption | undefined => options.find((found) => found.name === name);
    const flags =
      parseNegatable(get('--tcp-flags'), (found) => ({
        mask: parseFlags(argument(found), context),
        set: parseFlags(argument(found, 1), context),
      })) ?? parseNegatable(get('--syn'), () => ({ mask: SYN_MASK, set: 0x02 }));
    return {
      ...parsePorts(options, context),
      flags,
      option: parseNegatable(get('--tcp-option'), (found) => parseOption(found, context)),
    };
  },
  print({ flags, option: kind, ...ports }) {
    let text = printPorts(ports);
    if (kind !== undefined) text += ` ${bang(kind.negated)}--tcp-option ${kind.value}`;
    if (flags !== undefined && (flags.value.mask !== 0 || flags.negated)) {
      text += ` ${bang(flags.negated)}--tcp-flags ${formatFlags(flags.value.mask)} ${formatFlags(flags.value.set)}`;
    }
    return text;
  },
  list({ flags, option: kind, ...ports }, _, names) {
    let text = `tcp${listPorts(ports, names)}`;
    if (kind !== undefined) text += ` option=${kind.negated ? '!' : ''}${kind.value}`;
    if (flags !== undefined && (flags.value.mask !== 0 || flags.negated)) {
      const byte = (bits: number): string =>
        names === undefined ? `0x${bits.toString(16).toUpperCase().padStart(2, '0')}` : formatFlags(bits);
      text += ` flags:${flags.negated ? '!' : ''}${byte(flags.value.mask)}/${byte(flags.value.set)}`;
    }
    return text;
  },
  destinationPorts: onlyDestinationPorts,
  reads: (options) =>
    options.option === undefined ? { ...readsPorts(options), tcpFlags: options.flags !== undefined } : undefined,
  compile({ flags, option: kind, ...ports }, { backend }) {
    const tests = [...portTests(ports.sourcePorts, ports.destinationPorts), ...flagTests(flags)];
    if (backend === 'nft' && kind === undefined && tests.length > 0) return matchesFields(tests);
    const portsFit = compilePorts(ports);
    const mask = flags?.value.mask ?? 0;
    const set = flags?.value.set ?? 0;
    const flagsNot = flags?.negated ?? false;
    const wanted = kind?.value ?? 0;
    const wantedNot = kind?.negated ?? false;
    return (packet) => {
      const { l4, view } = packet;
      if (packet.fragmentOffset !== 0) {
        // A fragment at offset 8 could overwrite the flags of the first one. (IPv6 counts in bytes, and so is never asked.)
        if (packet.fragmentOffset === 8 && packet.family === 4) packet.hotDrop();
        return false;
      }
      if (packet.end - l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      if (!portsFit(view, l4)) return false;
      if ((((packet.bytes[l4 + 13] as number) & mask) === set) === flagsNot) return false;
      if (wanted === 0) return true;
      const length = ((packet.bytes[l4 + 12] as number) >> 4) * 4;
      if (length < HEADER || packet.end - l4 < length) {
        packet.hotDrop();
        return false;
      }
      return hasTcpOption(packet, wanted, length) !== wantedNot;
    };
  },
};

function flagTests(flags: TcpOptions['flags']): FieldTest[] {
  if (flags === undefined) return [];
  const { negated, value } = flags;
  return [{ offset: 13, bytes: 1, holds: (byte) => ((byte & value.mask) === value.set) !== negated }];
}
