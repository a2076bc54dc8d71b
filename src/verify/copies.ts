/** What a bridge sends out of several ports at once is one output of the bridge. */

interface Output {
  readonly input: number;
  readonly iface: string;
  readonly bridge?: string | undefined;
  readonly frame: Uint8Array;
}

/** From the IP header on: the link layer of an output is made up. */
const IP = 14;

/** Takes copies for the first of them. A port that sends the same twice sends two. */
export function withoutCopies<T extends Output>(outputs: readonly T[]): T[] {
  const kept: { output: T; readonly ports: Set<string> }[] = [];
  // Outputs come in the order of their inputs, so copies are among the last few.
  let first = 0;
  for (const output of outputs) {
    if (kept[first]?.output.input !== output.input) first = kept.length;
    const same = kept
      .slice(first)
      .find(({ output: other, ports }) => isCopy(other, output) && !ports.has(output.iface));
    if (same === undefined) {
      kept.push({ output, ports: new Set([output.iface]) });
      continue;
    }
    same.ports.add(output.iface);
    same.output = { ...same.output, iface: same.output.bridge ?? same.output.iface };
  }
  return kept.map(({ output }) => output);
}

function isCopy(a: Output, b: Output): boolean {
  return (
    a.bridge !== undefined && a.bridge === b.bridge && Buffer.compare(a.frame.subarray(IP), b.frame.subarray(IP)) === 0
  );
}
