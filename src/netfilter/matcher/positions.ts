/**
 * IPv6 addresses as positions among the ends of the networks that rules of one chain name: what lies between two
 * neighbouring ends has one position, so that networks become ranges of small numbers.
 */

const WORDS = 4;

export class AddressPositions {
  /** `ends`: addresses where a network begins, or has just ended, four words each, in any order. */
  static of(ends: readonly Uint32Array[]): AddressPositions {
    const sorted = [...ends].sort(compare);
    const distinct = sorted.filter((end, k) => k === 0 || compare(end, sorted[k - 1] as Uint32Array) !== 0);
    const starts = new Uint32Array(distinct.length * WORDS);
    for (const [k, end] of distinct.entries()) starts.set(end, k * WORDS);
    return new AddressPositions(starts);
  }

  /** Ascending. */
  private constructor(private readonly starts: Uint32Array) {}

  /** How many ends are not above the address: 0 below the first. */
  of(address: Uint32Array): number {
    let low = 0;
    let high = this.starts.length / WORDS;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.isAbove(middle, address)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private isAbove(end: number, address: Uint32Array): boolean {
    const { starts } = this;
    for (let k = 0, at = end * WORDS; k < WORDS; k++, at++) {
      const difference = (starts[at] as number) - (address[k] as number);
      if (difference !== 0) return difference > 0;
    }
    return false;
  }
}

function compare(a: Uint32Array, b: Uint32Array): number {
  for (let k = 0; k < WORDS; k++) {
    const difference = (a[k] as number) - (b[k] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The address behind a network's last; undefined where there is none. */
export function behind(address: Uint32Array, mask: Uint32Array): Uint32Array | undefined {
  const next = Uint32Array.from({ length: WORDS }, (_, k) => (address[k] ?? 0) | ~(mask[k] ?? 0));
  for (let k = WORDS - 1; k >= 0; k--) {
    const word = next[k] as number;
    next[k] = word + 1;
    if (word !== 0xffffffff) return next;
  }
  return undefined;
}
