/** Makes a failing case small: fewer packets, then fewer rules, then fewer packets again. */
import { Gateway, type KernelPacket } from '../../../src/verify/gateway.js';
import { type FuzzCase, gatewayOptions, type Outcome, resend } from './case.js';
import type { RuleSet } from './rules.js';

export interface Minimised {
  readonly test: FuzzCase;
  readonly packets: readonly KernelPacket[];
  readonly outcome: Outcome;
}

/** Undefined when the packets, sent again, do not fail again: the kernel's random ports were others then. */
export async function minimise(
  failed: FuzzCase,
  first: Outcome,
  say: (text: string) => void,
): Promise<Minimised | undefined> {
  const bench = await Bench.open(failed);
  try {
    let test = failed;
    let packets: readonly KernelPacket[] = first.run.packets;
    const firstBad = first.differences.find((difference) => difference.input !== undefined)?.input;
    const started = await bench.try(test, packets);
    if (started === undefined) return undefined;
    if (firstBad !== undefined) {
      const upTo = packets.slice(0, firstBad + 1);
      if ((await bench.try(test, upTo)) !== undefined) packets = upTo;
    }
    for (let round = 0; round < 2; round++) {
      packets = await fewer(packets, async (some) => (await bench.try(test, some)) !== undefined);
      say(`${packets.length} packets`);
      for (let again = true; again; ) {
        again = false;
        for (const rules of without(test.rules)) {
          if ((await bench.try({ ...test, rules }, packets)) === undefined) continue;
          test = { ...test, rules };
          again = true;
          break;
        }
      }
    }
    const outcome = await bench.try(test, packets);
    return outcome === undefined ? undefined : { test, packets, outcome };
  } finally {
    await bench.close();
  }
}

/** Delta debugging (Zeller 1999): leaves out ever smaller parts as long as what remains still fails. */
export async function fewer<T>(
  items: readonly T[],
  fails: (items: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let rest = items;
  for (let size = Math.ceil(rest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < rest.length; ) {
      const some = [...rest.slice(0, at), ...rest.slice(at + size)];
      if (some.length > 0 && (await fails(some))) rest = some;
      else at += size;
    }
  }
  return rest;
}

function isFragment({ frame }: KernelPacket): boolean {
  if ((frame[14] ?? 0) >> 4 === 4) return ((frame[20] ?? 0) & 0x3f) !== 0 || frame[21] !== 0;
  // Wherever the fragment header stands.
  return frame[20] === 44 || ([0, 43, 60].includes(frame[20] ?? -1) && frame.subarray(54).includes(44));
}

/** The rule set with one thing less: a table, a chain's policy, a rule, or a chain that nothing jumps to any more. */
export function* without(rules: RuleSet): Generator<RuleSet> {
  const { tables } = rules;
  const replace = (k: number, table: RuleSet['tables'][number]): RuleSet => ({
    tables: tables.map((other, i) => (i === k ? table : other)),
  });
  for (const [k, table] of tables.entries()) {
    if (tables.length > 1) yield { tables: tables.filter((_, i) => i !== k) };
    for (const [c, chain] of table.chains.entries()) {
      const change = (to: Partial<typeof chain>): RuleSet =>
        replace(k, { ...table, chains: table.chains.map((other, i) => (i === c ? { ...chain, ...to } : other)) });
      const isJumpedTo = table.chains.some((other) => other.rules.some((rule) => rule.endsWith(` ${chain.name}`)));
      if (chain.policy === '-' && !isJumpedTo)
        yield replace(k, { ...table, chains: table.chains.filter((_, i) => i !== c) });
      if (chain.policy === 'DROP') yield change({ policy: 'ACCEPT' });
      if (chain.rules.length > 1) yield change({ rules: [] });
      for (const r of chain.rules.keys()) yield change({ rules: chain.rules.filter((_, i) => i !== r) });
    }
  }
}

/**
 * A gateway per set of tables, its rules loaded anew for every try; one for each try where there are fragments, which a
 * kernel keeps until it has them all.
 */
class Bench {
  readonly #gateways = new Map<string, Gateway>();

  static async open(test: FuzzCase): Promise<Bench> {
    const bench = new Bench();
    await bench.#gateway(test);
    return bench;
  }

  /** What came of it if kernel and natreplay differ. */
  async try(test: FuzzCase, packets: readonly KernelPacket[]): Promise<Outcome | undefined> {
    const gateway = packets.some(isFragment) ? await Gateway.open(gatewayOptions(test)) : await this.#gateway(test);
    const outcome = await resend(test, gateway, packets);
    if (packets.some(isFragment)) await gateway.close();
    return outcome.differences.length === 0 ? undefined : outcome;
  }

  async #gateway(test: FuzzCase): Promise<Gateway> {
    const options = gatewayOptions(test);
    const key = test.rules.tables.map((table) => table.name).join(' ');
    const known = this.#gateways.get(key);
    if (known !== undefined) {
      await known.reload(options.rules, options.rules6);
      return known;
    }
    const gateway = await Gateway.open(options);
    this.#gateways.set(key, gateway);
    return gateway;
  }

  async close(): Promise<void> {
    for (const gateway of this.#gateways.values()) await gateway.close();
  }
}
