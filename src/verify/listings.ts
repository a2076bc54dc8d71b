/** Compares listings as texts: rule counters (`iptables-save -c`) and connections (`conntrack -L`). */

export interface LineDifference {
  /** The rule, chain or connection. */
  readonly what: string;
  /** Undefined: only the other side has it. */
  readonly kernel: string | undefined;
  readonly predicted: string | undefined;
}

/**
 * Compares counters of `iptables-save -c` texts, rule by rule. Comments, and the order of tables, do not count; a rule
 * that stands twice in a chain is told apart by its place among its likes.
 */
export function compareCounters(kernel: string, predicted: string): LineDifference[] {
  return differences(countersOf(kernel), countersOf(predicted));
}

function countersOf(text: string): Map<string, string> {
  const counters = new Map<string, string>();
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const chain = /^:(\S+ \S+) \[(\d+:\d+)\]/.exec(line);
    const rule = /^\[(\d+:\d+)\] (.*)$/.exec(line);
    if (chain !== null) put(counters, `${table}: ${chain[1]}`, chain[2] ?? '');
    else if (rule !== null) put(counters, `${table}: ${(rule[2] ?? '').trim()}`, rule[1] ?? '');
  }
  return counters;
}

/**
 * Compares connections of `conntrack -L` texts: protocol, state, tuples, flags, mark. The seconds left and the use
 * count are left out, since they depend on when the kernel was asked.
 */
export function compareConntrack(kernel: string, predicted: string): LineDifference[] {
  return differences(connectionsOf(kernel), connectionsOf(predicted));
}

function connectionsOf(text: string): Map<string, string> {
  const connections = new Map<string, string>();
  for (const line of text.split('\n')) {
    // `tcp      6 431999 ESTABLISHED src=...`: what identifies a connection is its original tuple, and its zone.
    const found = /^(\S+)\s+(\d+)\s+(?:\d+\s+)?(.*)$/.exec(line.trim());
    if (found === null) continue;
    const [, name = '', number = '', rest = ''] = found;
    const words = rest.split(/\s+/).filter((w) => !w.startsWith('use=') && !/^(packets|bytes)=/.test(w));
    const end = secondSource(words);
    const original = words.filter((w, i) => (i < end && w.includes('=')) || w.startsWith('zone='));
    put(connections, `${name} ${number} ${original.join(' ')}`, words.join(' '));
  }
  return connections;
}

function secondSource(words: readonly string[]): number {
  const first = words.findIndex((w) => w.startsWith('src='));
  const second = words.findIndex((w, i) => i > first && w.startsWith('src='));
  return second === -1 ? words.length : second;
}

function put(map: Map<string, string>, key: string, value: string): void {
  let unique = key;
  for (let n = 2; map.has(unique); n++) unique = `${key} (${n})`;
  map.set(unique, value);
}

function differences(kernel: ReadonlyMap<string, string>, predicted: ReadonlyMap<string, string>): LineDifference[] {
  const found: LineDifference[] = [];
  for (const [what, value] of kernel) {
    const other = predicted.get(what);
    if (other !== value) found.push({ what, kernel: value, predicted: other });
  }
  for (const [what, value] of predicted) {
    if (!kernel.has(what)) found.push({ what, kernel: undefined, predicted: value });
  }
  return found;
}
