/** `-j TOS`: sets bits of the TOS byte or traffic class (kernel: net/netfilter/xt_DSCP.c, tos_tg). */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { dsField, setDsField } from './dsfield.js';
import { argument, exclusive, option, requireOne } from './support.js';
import { formatTos, type MaskedTos, parseTos } from './tos-values.js';

const NAMES = ['--set-tos', '--and-tos', '--or-tos', '--xor-tos'];

/** Each as `tos = (tos & ~mask) ^ value`, which is what the kernel keeps. */
function parseOperation(found: ParsedOption, context: ParseContext): MaskedTos {
  if (found.name === '--set-tos') return parseTos(argument(found), context);
  const value = parseNumber(argument(found), 0, 255, context);
  if (found.name === '--and-tos') return { value: 0, mask: ~value & 0xff };
  return { value, mask: found.name === '--or-tos' ? value : 0 };
}

export const tosTarget: TargetExtension<MaskedTos> = {
  kind: 'target',
  name: 'TOS',
  summary: 'sets bits of the TOS byte or traffic class',
  families: [4, 6],
  tables: ['mangle'],
  options: NAMES.map((name) => option(false, name)),
  parse(options, context) {
    requireOne(options, 'TOS', context, ...NAMES);
    exclusive(options, context, ...NAMES);
    const [found] = options;
    if (found === undefined) throw new RangeError('--set-tos');
    return parseOperation(found, context);
  },
  print: (options) => ` --set-tos ${formatTos(options)}`,
  list: (options) => `TOS set ${formatTos(options)}`,
  compile: ({ value, mask }) => ({
    kind: 'effect',
    apply(packet) {
      const field = dsField(packet);
      const next = (field & ~mask) ^ value;
      if (next !== field) setDsField(packet, next);
    },
  }),
};
