/** `-m bpf`: a program of the Berkeley packet filter (kernel: net/netfilter/xt_bpf.c). Parsed only. */
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { exclusive, find, option, requireOne } from './support.js';

/** Instructions (code, jump if true, jump if false, constant), or the path of a pinned program. */
export type BpfOptions = readonly (readonly number[])[] | string;

const MOST_INSTRUCTIONS = 64;

function parseProgram(token: Token, context: ParseContext): number[][] {
  const [count = '', ...rest] = token.text.split(',');
  const bad = (what: string): never =>
    context.fail('RULES_BAD_BPF', `the program ${what}`, token, 'write it as nfbpf_compile prints it, like 1,6 0 0 1');
  const length = /^[0-9]+$/.test(count) ? Number(count) : bad('does not begin with its length');
  if (rest.at(-1) === '') rest.pop();
  if (length === 0 || length > MOST_INSTRUCTIONS)
    bad(`has ${length} instructions, and 1 to ${MOST_INSTRUCTIONS} can be`);
  if (rest.length !== length) bad(`has ${rest.length} instructions instead of ${length}`);
  return rest.map((text, k) => {
    const fields = /^ *(\d+) +(\d+) +(\d+) +(\d+)$/.exec(text);
    const numbers = (fields?.slice(1) ?? []).map(Number);
    const limits = [0xffff, 0xff, 0xff, 0xffffffff];
    if (numbers.length !== 4 || numbers.some((value, i) => value > (limits[i] ?? 0)))
      bad(`is wrong in instruction ${k + 1}`);
    return numbers;
  });
}

export const bpf: MatchExtension<BpfOptions> = {
  kind: 'match',
  name: 'bpf',
  summary: 'a program of the Berkeley packet filter',
  support: 'parsed',
  families: [4, 6],
  listsTight: true,
  options: [option(false, '--bytecode'), option(false, '--object-pinned')],
  parse(options, context) {
    requireOne(options, 'match bpf', context, '--bytecode', '--object-pinned');
    exclusive(options, context, '--bytecode', '--object-pinned');
    const code = find(options, '--bytecode')?.args[0];
    return code === undefined ? (find(options, '--object-pinned')?.args[0]?.text ?? '') : parseProgram(code, context);
  },
  print(program) {
    if (typeof program === 'string') return ` --object-pinned ${program}`;
    return ` --bytecode "${program.length},${program.map((fields) => fields.join(' ')).join(',')}"`;
  },
  list(program) {
    if (typeof program === 'string') return `match bpf pinned ${program}`;
    return `match bpf ${program.map((fields) => fields.join(' ')).join(',')} `;
  },
  compile: () => () => false,
};
