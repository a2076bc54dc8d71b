/** How fast packets follow each other. */

export type Pace =
  /** Packets a second. */
  | { readonly kind: 'rate'; readonly packetsPerSecond: number }
  /** Bits of frames a second, as long as the capture says they were on the wire; no preamble, gap or check sequence. */
  | { readonly kind: 'bits'; readonly bitsPerSecond: number }
  /** The capture's own timing, this many times as fast. */
  | { readonly kind: 'speed'; readonly factor: number };

const RATE = /^(\d+(?:\.\d+)?)\s*([kMG]?)pps$/;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };

/** `1Mpps`, `250kpps`, `100000pps`: packets a second, above 0; undefined for anything else. */
export function parseRate(text: string): number | undefined {
  const match = RATE.exec(text);
  return positive(Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN));
}

/** `2x`, `0.5x`, `2`: a factor above 0. */
export function parseSpeed(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)x?$/.exec(text);
  return positive(Number(match?.[1]));
}

function positive(value: number): number | undefined {
  return Number.isFinite(value) && value > 0 ? value : undefined;
}
