/** IPv4 addresses as 32-bit numbers in host order: 192.0.2.1 is 0xc0000201. */

export function address(a: number, b: number, c: number, d: number): number {
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

export function dotted(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

export function network(local: number, prefix: number): number {
  return prefix === 0 ? 0 : (local & (-1 << (32 - prefix))) >>> 0;
}

export function broadcast(local: number, prefix: number): number {
  return (local | (0xffffffff >>> prefix)) >>> 0;
}

/** The upper 96 bits of an IPv6 address; the lower 32 are a number of their own, as an IPv4 address is. */
export type Prefix6 = readonly [number, number, number];

/** An IPv6 address as text: the first of its longest runs of zeros is left out (RFC 5952). */
export function colons(prefix: Prefix6, low: number): string {
  const groups = [...prefix, low].flatMap((word) => [word >>> 16, word & 0xffff]).map((group) => group.toString(16));
  const runs = groups.join(':').match(/\b0(?::0)+\b/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  const text = groups.join(':');
  if (longest === '') return text;
  const at = text.search(new RegExp(`\\b${longest}\\b`));
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + longest.length).replace(/^:/, '')}`;
}

/** A source and a destination port, as they stand in a header. */
export function ports(source: number, destination: number): number {
  return ((source << 16) | destination) >>> 0;
}
