/** Variables in compose files: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `${NAME:+other}`, `$$`. */
import type { Fail } from './problem.js';

const VARIABLE =
  /\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])((?:[^{}]|\{[^{}]*\})*))?\})/g;
/** Defaults may hold variables themselves. */
const DEEPEST = 8;

/** Throws DOCKER_COMPOSE for what is no variable, and for one that must be there. A missing one is empty, as in Compose. */
export function interpolate(
  text: string,
  environment: (name: string) => string | undefined,
  fail: Fail,
  depth = 0,
): string {
  if (!text.includes('$')) return text;
  const stray = text.replace(VARIABLE, '').indexOf('$');
  if (stray >= 0 || depth > DEEPEST) {
    return fail('DOCKER_COMPOSE', `"${text}" has a "$" that begins no variable`, 'write $$ for the sign itself');
  }
  return text.replace(
    VARIABLE,
    (_, sign: string | undefined, bare: string | undefined, braced = '', how = '', other = '') => {
      if (sign !== undefined) return '$';
      const name = bare ?? String(braced);
      const value = environment(name);
      const isSet = value !== undefined && !(String(how).startsWith(':') && value === '');
      const inner = (): string => interpolate(String(other), environment, fail, depth + 1);
      if (how.endsWith('+')) return isSet ? inner() : '';
      if (isSet) return value;
      if (how.endsWith('-')) return inner();
      if (how.endsWith('?'))
        fail(
          'DOCKER_COMPOSE',
          `the variable ${name} is not set${other === '' ? '' : `: ${other}`}`,
          `set it: ${name}=...`,
        );
      return '';
    },
  );
}
