/** The package's version, from the package.json that it was installed with. */
import { readFileSync } from 'node:fs';

export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version: value } = JSON.parse(text) as { version?: unknown };
  return typeof value === 'string' ? value : 'unknown';
}
