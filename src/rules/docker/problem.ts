/** How a mistake in what Docker was told is reported where it stands: an option, a place in a file. */
import { NatreplayError } from '../../errors.js';

/** Throws; `code` is DOCKER_*. */
export type Fail = (code: string, what: string, advice?: string) => never;

/** The error names the option as typed. */
export function failAtOption(option: string, value: string): Fail {
  return (code, what, advice) => {
    throw new NatreplayError(code, `${option} ${value}: ${what}`, { advice });
  };
}

/** The error names file, line and column. */
export function failInFile(file: string, place: { readonly line?: number; readonly column?: number } = {}): Fail {
  return (code, what, advice) => {
    throw new NatreplayError(code, what, { file, ...place, advice });
  };
}
