/** `NAME src,dst`: a set, and which side of the packet each dimension of its elements is. */
import { NatreplayError } from '../../errors.js';
import type { CompileContext, ParseContext, ParsedOption } from '../extension.js';
import { argument } from '../extensions/support.js';
import { ElementSet } from '../ipset/elementset.js';
import type { IpSet } from '../ipset/set.js';

export interface SetReference {
  readonly name: string;
  readonly dimensions: number;
  /** Bit k: dimension k is the source. */
  readonly directions: number;
}

const MAX_DIMENSIONS = 6;
const MAX_NAME = 31;

export function parseSetReference(found: ParsedOption, context: ParseContext): SetReference {
  const name = argument(found, 0);
  const sides = argument(found, 1);
  if (name.text.length > MAX_NAME) {
    context.fail('RULES_BAD_SET', `"${name.text}" cannot be a set`, name, `names have at most ${MAX_NAME} characters`);
  }
  const words = sides.text.split(',');
  if (words.length > MAX_DIMENSIONS) {
    const what = `more than ${MAX_DIMENSIONS} times src or dst`;
    context.fail('RULES_BAD_SET', what, sides, 'give one for each part of an element');
  }
  let directions = 0;
  for (const [k, word] of words.entries()) {
    if (word.startsWith('src')) directions |= 1 << k;
    else if (!word.startsWith('dst')) {
      context.fail('RULES_BAD_SET', `"${word}" is neither src nor dst`, sides, 'write them like src,dst');
    }
  }
  return { name: name.text, dimensions: words.length, directions };
}

/** `NAME src,dst` */
export function formatSetReference({ name, dimensions, directions }: SetReference): string {
  const sides = Array.from({ length: dimensions }, (_, k) => ((directions >>> k) & 1 ? 'src' : 'dst'));
  return `${name} ${sides.join(',')}`;
}

/** The set itself. Throws NatreplayError: the host has none of that name, or one of the other family. */
export function findSet({ name }: SetReference, { shared, family }: CompileContext): IpSet {
  const set = shared.sets.get(name);
  const own = set instanceof ElementSet ? set.layout.family : undefined;
  if (own !== undefined && own !== family) {
    throw new NatreplayError(
      'RULES_WRONG_FAMILY',
      `set "${name}" holds IPv${own} addresses, the rule is for IPv${family}`,
      {
        advice: `use it in IPv${own} rules`,
      },
    );
  }
  return set;
}
