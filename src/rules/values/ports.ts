/** Ports and port ranges as written in options: `80`, `http`, `1024:2048`, `:1023`, `1024:`. */
import type { ListNames, ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from './numbers.js';
import { SERVICE_NAMES, serviceName, servicePort } from './services.js';

/** Both ends included. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/** A port by number (as strtoul reads it) or service name; fails with RULES_BAD_PORT. */
export function parsePort(text: string, token: Token, context: ParseContext): number {
  const port = parseUnsigned(text, 65535) ?? servicePort(text);
  if (port !== undefined) return port;
  const number = /^[1-9][0-9]*$/.test(text);
  return context.fail(
    'RULES_BAD_PORT',
    number ? `port ${text} is not between 0 and 65535` : `"${text}" is neither a port number nor a known service`,
    token,
    number ? 'correct the number' : didYouMean(text, SERVICE_NAMES, 'write the port as a number'),
  );
}

/** `a`, `a:b`, `:b`, `a:`. */
export function parsePortRange(token: Token, context: ParseContext, separator = ':'): PortRange {
  const at = token.text.indexOf(separator);
  if (at < 0) {
    const port = parsePort(token.text, token, context);
    return { min: port, max: port };
  }
  const low = token.text.slice(0, at);
  const high = token.text.slice(at + 1);
  const min = low === '' ? 0 : parsePort(low, token, context);
  const max = high === '' ? 65535 : parsePort(high, token, context);
  if (min > max) context.fail('RULES_BAD_PORT', `port range ${token.text} runs backwards`, token, 'swap its ends');
  return { min, max };
}

export function formatPortRange(range: PortRange, separator = ':'): string {
  return range.min === range.max ? String(range.min) : `${range.min}${separator}${range.max}`;
}

/** As listings print it: by service names where names are asked for. */
export function listPortRange({ min, max }: PortRange, names: ListNames | undefined): string {
  const name = (port: number): string =>
    (names === undefined ? undefined : serviceName(port, names.protocol)) ?? String(port);
  return min === max ? name(min) : `${name(min)}:${name(max)}`;
}
