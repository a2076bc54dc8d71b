/** Rule counters of two `iptables-save -c` texts of the same rules, compared by position. */

export interface CounterDifference {
  /** `nat:DOCKER:2`, `filter:FORWARD:policy` */
  readonly rule: string;
  /** As the kernel prints it. */
  readonly text: string;
  /** `packets:bytes`; undefined: only the other side has the rule. */
  readonly kernel: string | undefined;
  readonly predicted: string | undefined;
}

export interface CounterComparison {
  /** Rules and policies that were compared. */
  readonly compared: number;
  readonly differences: readonly CounterDifference[];
}

interface Counter {
  readonly value: string;
  readonly text: string;
}

/**
 * By table, chain and place in the chain, so that two ways of writing one rule do not matter. The kernel's tables that
 * the prediction does not know (another program's, or an empty built-in one) are left out.
 */
export function compareRuleCounters(kernel: string, predicted: string): CounterComparison {
  const theirs = countersOf(kernel);
  const ours = countersOf(predicted);
  const tables = new Set([...ours.keys()].map((rule) => rule.split(':')[0]));
  const names = new Set([...ours.keys(), ...[...theirs.keys()].filter((rule) => tables.has(rule.split(':')[0]))]);
  const differences: CounterDifference[] = [];
  for (const rule of names) {
    const a = theirs.get(rule);
    const b = ours.get(rule);
    if (a?.value !== b?.value)
      differences.push({ rule, text: a?.text ?? b?.text ?? '', kernel: a?.value, predicted: b?.value });
  }
  return { compared: names.size, differences };
}

function countersOf(text: string): Map<string, Counter> {
  const counters = new Map<string, Counter>();
  const places = new Map<string, number>();
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const chain = /^:(\S+) (\S+) \[(\d+:\d+)\]/.exec(line);
    if (chain !== null) {
      const [, name = '', policy = '', value = ''] = chain;
      if (policy !== '-') counters.set(`${table}:${name}:policy`, { value, text: `policy ${policy}` });
      continue;
    }
    const rule = /^\[(\d+:\d+)\] (-A (\S+).*)$/.exec(line);
    if (rule === null) continue;
    const [, value = '', written = '', name = ''] = rule;
    const place = (places.get(`${table}:${name}`) ?? 0) + 1;
    places.set(`${table}:${name}`, place);
    counters.set(`${table}:${name}:${place}`, { value, text: written });
  }
  return counters;
}
