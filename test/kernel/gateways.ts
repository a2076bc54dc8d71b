/** Gateways that cases share: making one takes ten times as long as sending a case's few packets. */
import { Gateway, type GatewayOptions, type SendResult } from '../../src/verify/gateway.js';

export class Gateways {
  readonly #open = new Map<string, Gateway>();

  /**
   * A gateway with these rules and no connections. Made anew only where host, tables or what else matters are not those of
   * an earlier one: the kernel keeps a table that the next rules do not name.
   */
  async get(options: GatewayOptions): Promise<Gateway> {
    const { rules, rules6, ...fixed } = options;
    const key = JSON.stringify([fixed, tablesOf(rules), rules6 === undefined ? undefined : tablesOf(rules6)]);
    const known = this.#open.get(key);
    if (known !== undefined) {
      await known.reload(rules, rules6);
      return known;
    }
    const gateway = await Gateway.open(options);
    this.#open.set(key, gateway);
    return gateway;
  }

  async close(): Promise<void> {
    const gateways = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(gateways.map((gateway) => gateway.close()));
  }
}

const tablesOf = (rules: string): string[] => (rules.match(/^\*\w+$/gm) ?? []).sort();

/** What packets became that were sent since `first` (`Gateway.sent`), numbered from 0. */
export function countedFrom(first: number, { outputs, delivered }: SendResult): Omit<SendResult, 'times'> {
  const renumber = <T extends { readonly input: number }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, input: item.input - first }));
  return { outputs: renumber(outputs), delivered: renumber(delivered) };
}
