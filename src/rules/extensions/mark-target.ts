/** `-j MARK`: sets bits of the packet's mark (kernel: net/netfilter/xt_mark.c). */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { type MaskedMark, parseMark, parseMaskedMark } from '../values/marks.js';
import { hex } from '../values/numbers.js';
import { argument, exclusive, option } from './support.js';

export const MARK_OPERATIONS = ['--set-xmark', '--set-mark', '--and-mark', '--or-mark', '--xor-mark'];

/** Each way to set a mark as `mark = (mark & ~mask) ^ value`, which is what the kernel keeps and iptables-save prints. */
export function parseMarkOperation(found: ParsedOption, context: ParseContext): MaskedMark {
  const token = argument(found);
  if (found.name === '--set-xmark') return parseMaskedMark(token, context);
  if (found.name === '--set-mark') {
    const { value, mask } = parseMaskedMark(token, context);
    return { value, mask: (value | mask) >>> 0 };
  }
  const value = parseMark(token, context);
  if (found.name === '--and-mark') return { value: 0, mask: ~value >>> 0 };
  return { value, mask: found.name === '--or-mark' ? value : 0 };
}

/** In the words of listings: `and 0x5`, `or 0x5`, `xor 0x5`, `set 0x5`, `xset 0x5/0x7`. */
export function listMarkOperation({ value, mask }: MaskedMark): string {
  if (value === 0) return `and ${hex(~mask)}`;
  if (value === mask) return `or ${hex(value)}`;
  if (mask === 0) return `xor ${hex(value)}`;
  if (mask === 0xffffffff) return `set ${hex(value)}`;
  return `xset ${hex(value)}/${hex(mask)}`;
}

export const markTarget: TargetExtension<MaskedMark> = {
  kind: 'target',
  name: 'MARK',
  summary: "sets bits of the packet's mark",
  families: [4, 6],
  options: MARK_OPERATIONS.map((name) => option(false, name)),
  parse(options, context) {
    exclusive(options, context, ...MARK_OPERATIONS);
    const found = options[0];
    if (found === undefined) {
      return context.fail('RULES_MISSING_OPTION', 'MARK needs a mark', undefined, 'add --set-mark');
    }
    return parseMarkOperation(found, context);
  },
  print({ value, mask }) {
    return ` --set-xmark ${hex(value)}/${hex(mask)}`;
  },
  list(options) {
    return `MARK ${listMarkOperation(options)}`;
  },
  compile({ value, mask }) {
    return {
      kind: 'effect',
      apply(packet) {
        packet.setMark(((packet.mark & ~mask) ^ value) >>> 0);
      },
    };
  },
};
