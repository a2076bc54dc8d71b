/**
 * Rules that leave a decision to chance (`-m statistic --mode random`, with which Kubernetes spreads connections over pods)
 * cannot be compared: nothing tells which way the kernel's die fell. Both sides get rules that decide in turn instead, as
 * often: a probability of 1/3 becomes every third packet.
 */

export interface Decided {
  readonly text: string;
  /** Rules that were changed. */
  readonly rules: number;
}

const RANDOM = /-m statistic --mode random (! )?--probability (\S+)/g;
/** Largest n of `--every n`. */
const NEVER = 0x7fffffff;

/** `iptables-save` text. */
export function decideInTurn(text: string): Decided {
  let rules = 0;
  const lines = text.split('\n').map((line) => {
    if (!/^(\[\d+:\d+\] )?-[AI] /.test(line)) return line;
    const changed = line.replace(RANDOM, (_, negation: string | undefined, probability: string) => {
      const every = Math.min(NEVER, Math.max(1, Math.round(1 / Number(probability))));
      return `-m statistic --mode nth ${negation ?? ''}--every ${every} --packet 0`;
    });
    if (changed !== line) rules++;
    return changed;
  });
  return { text: lines.join('\n'), rules };
}
