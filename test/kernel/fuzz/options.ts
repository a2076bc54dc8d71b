/** The fuzzer's command line. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Backend } from '../../../src/verify/gateway.js';
import type { Knobs } from './case.js';
import type { Family } from './world.js';

export interface FuzzOptions {
  readonly seeds: number;
  readonly first: number;
  readonly packets: number;
  readonly family: Family;
  readonly backend: Backend;
  readonly knobs: Required<Knobs>;
  readonly minimise: boolean;
  readonly show: boolean;
  readonly stop: boolean;
  /** Undefined: hosts and rules are made up. */
  readonly scenario: string | undefined;
}

export const USAGE = `Usage: npm run fuzz:kernel -- [options]

Sends random packets through random hosts and rules, in the running kernel and in natreplay, and compares. Needs root.

  --seeds N         how many (20)
  --first N         the first of them (1)
  --packets N       packets for each (1000)
  --ipv6            IPv6 instead of IPv4
  --backend NAME    legacy or nft (legacy)
  --odd SHARE       of packets that are broken or out of place (0.05)
  --errors SHARE    of ICMP errors about packets seen before (0.04)
  --fragments SHARE of packets that come in fragments (0.05)
  --host SHARE      of connections that the host itself opens; 0: it answers none either, and OUTPUT has no rules (0.1, IPv6: 0)
  --minimise        make a failing case small: fewer packets, fewer rules
  --show            print host and rules of every seed
  --stop            end with the first seed that differs
  --scenario NAME   hosts and rules from scenarios.ts whose name contains NAME ('' is all) instead of random ones
  --help            this text

Exit status: 0 nothing differs, 1 something does, 2 bad usage.
`;

const OPTIONS = {
  seeds: { type: 'string', default: '20' },
  first: { type: 'string', default: '1' },
  packets: { type: 'string', default: '1000' },
  ipv6: { type: 'boolean', default: false },
  backend: { type: 'string', default: 'legacy' },
  odd: { type: 'string', default: '0.05' },
  errors: { type: 'string', default: '0.04' },
  fragments: { type: 'string', default: '0.05' },
  host: { type: 'string' },
  minimise: { type: 'boolean', default: false },
  show: { type: 'boolean', default: false },
  stop: { type: 'boolean', default: false },
  scenario: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsConfig['options'];

/** Bad usage, in one line. */
export class UsageError extends Error {}

/** `help` where that is asked for. Throws UsageError. */
export function readOptions(args: readonly string[]): FuzzOptions | 'help' {
  const values = parsed(args);
  if (values.help) return 'help';
  const { backend } = values;
  if (backend !== 'legacy' && backend !== 'nft') throw new UsageError(`--backend is legacy or nft, not '${backend}'`);
  const whole = (name: 'seeds' | 'first' | 'packets'): number => {
    const value = Number(values[name]);
    if (/^\d+$/.test(values[name]) && Number.isSafeInteger(value)) return value;
    throw new UsageError(`--${name} takes a whole number, not '${values[name]}'`);
  };
  const share = (name: keyof Knobs): number => {
    const stated = values[name] ?? (values.ipv6 ? '0' : '0.1');
    const value = stated === '' ? Number.NaN : Number(stated);
    if (value >= 0 && value <= 1) return value;
    throw new UsageError(`--${name} takes a share from 0 to 1, not '${values[name]}'`);
  };
  const { ipv6, minimise, show, stop, scenario } = values;
  return {
    ...{ seeds: whole('seeds'), first: whole('first'), packets: whole('packets') },
    ...{ family: ipv6 ? 6 : 4, backend, minimise, show, stop, scenario },
    knobs: { odd: share('odd'), errors: share('errors'), fragments: share('fragments'), host: share('host') },
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node's own advice, behind the first sentence, is about its own options.
    throw new UsageError((error.message.split('\n')[0] ?? '').replace(/\. .*$/, ''));
  }
}
