/** Command lines of the benchmark scripts. */
import { parseArgs } from 'node:util';
import { NatreplayError } from '../../src/errors.js';

/** `--name value` options with defaults; a default of `false` makes a flag. Unknown options end the program. */
export function options<T extends Record<string, string | false>>(usage: string, defaults: T): Options<T> {
  try {
    const config = Object.fromEntries(
      Object.entries({ ...defaults, help: false as const }).map(([name, value]) => [
        name,
        { type: value === false ? ('boolean' as const) : ('string' as const) },
      ]),
    );
    const { help, ...values } = parseArgs({ options: config, strict: true }).values;
    if (help === true) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    return { ...defaults, ...values } as Options<T>;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
    process.exit(2);
  }
}

type Options<T> = { readonly [K in keyof T]: T[K] extends string ? string : boolean };

/** A positive whole number, with `k`, `M`, `G` (powers of ten) or `KiB`, `MiB`, `GiB` behind it. */
export function count(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(k|M|G|KiB|MiB|GiB)?$/.exec(text);
  const unit = { k: 1e3, M: 1e6, G: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[found?.[2] ?? ''] ?? 1;
  const value = Number(found?.[1]) * unit;
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`'${text}' is not a positive whole number`);
  return value;
}

/** Runs a script's main function; an error is one line and exit code 2 for bad usage, 3 for a failure. */
export function run(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof RangeError || error instanceof NatreplayError ? 2 : 3;
  });
}
