/** `-j SNPT` and `-j DNPT`: another IPv6 prefix, checksum-neutral (RFC 6296; kernel: net/ipv6/netfilter/ip6t_NPT.c). */
import { fold, halves } from '../../packet/checksum.js';
import { IPV6_DESTINATION, IPV6_SOURCE } from '../../packet/ipv6.js';
import type { PacketContext } from '../context.js';
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { applyMask, formatNetwork, isZero, parseNetwork } from '../values/addresses.js';
import { argument, find, option, requireOne } from './support.js';

interface Prefix {
  readonly address: Uint32Array;
  readonly mask: Uint32Array;
  readonly length: number;
}

export interface NptOptions {
  readonly source: Prefix;
  readonly destination: Prefix;
}

const MAX_LENGTH = 64;

function parsePrefix(found: ParsedOption | undefined, context: ParseContext): Prefix {
  const token = found && argument(found);
  const parsed = parseNetwork(token?.text ?? '', 6);
  const bad = (): never =>
    context.fail(
      'RULES_BAD_ADDRESS',
      `"${token?.text}" is not an IPv6 prefix of up to 64 bits`,
      token,
      'write it like fd00::/64',
    );
  if ('wrong' in parsed) return bad();
  const { address, mask } = parsed;
  const length = mask.reduce((sum, word) => sum + word.toString(2).replaceAll('0', '').length, 0);
  if (length > MAX_LENGTH || applyMask(address, mask).some((word, k) => word !== address[k])) bad();
  return { address, mask, length };
}

/** Sum over 16-bit words as numbers; ones' complement. */
const sumOf = (words: Uint32Array): number => fold(words.reduce((sum, word) => sum + halves(word), 0));

/** What is to be added to a word of the interface identifier so that the address' sum stays. */
function adjustmentOf({ source, destination }: NptOptions): number {
  return fold(sumOf(source.address) + (~sumOf(destination.address) & 0xffff));
}

/** The address in the new prefix; false if no word of it can take the adjustment. */
function translate(view: DataView, at: number, options: NptOptions, adjustment: number): boolean {
  const length = Math.max(options.source.length, options.destination.length);
  for (let k = 0; 32 * k < length; k++) {
    const kept = length - 32 * k >= 32 ? 0 : 0xffffffff >>> (length - 32 * k);
    const prefix = options.destination.address[k] ?? 0;
    view.setUint32(at + 4 * k, (view.getUint32(at + 4 * k) & kept) | (prefix & ~kept));
  }
  let word = 3;
  if (length > 48) for (word = 4; word < 8 && view.getUint16(at + 2 * word) === 0xffff; word++);
  if (word === 8) return false;
  const sum = fold(view.getUint16(at + 2 * word) + adjustment);
  view.setUint16(at + 2 * word, sum === 0xffff ? 0 : sum);
  return true;
}

function nptTarget(name: 'SNPT' | 'DNPT'): TargetExtension<NptOptions> {
  const isSource = name === 'SNPT';
  return {
    kind: 'target',
    name,
    summary: `translates the prefix of the ${isSource ? 'source' : 'destination'}, without connections`,
    families: [6],
    tables: ['mangle'],
    hooks: isSource ? ['INPUT', 'POSTROUTING'] : ['PREROUTING', 'OUTPUT'],
    options: [option(false, '--src-pfx'), option(false, '--dst-pfx')],
    parse(options, context) {
      requireOne(options, name, context, '--src-pfx');
      requireOne(options, name, context, '--dst-pfx');
      return {
        source: parsePrefix(find(options, '--src-pfx'), context),
        destination: parsePrefix(find(options, '--dst-pfx'), context),
      };
    },
    print({ source, destination }, family) {
      const words = (option_: string, prefix: Prefix): string =>
        isZero(prefix.address) && prefix.length === 0 ? '' : ` --${option_} ${formatNetwork(family, prefix)}`;
      return words('src-pfx', source) + words('dst-pfx', destination);
    },
    list: ({ source, destination }, family) =>
      `${name} src-pfx ${formatNetwork(family, source)} dst-pfx ${formatNetwork(family, destination)}`,
    compile(options) {
      const adjustment = adjustmentOf(options);
      return {
        kind: 'effect',
        apply(packet: PacketContext) {
          const at = packet.l3 + (isSource ? IPV6_SOURCE : IPV6_DESTINATION);
          if (!translate(packet.view, at, options, adjustment)) packet.hotDrop();
          packet.loadAddresses();
        },
      };
    },
  };
}

export const snpt = nptTarget('SNPT');
export const dnpt = nptTarget('DNPT');
