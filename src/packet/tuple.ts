/**
 * Tuples: what identifies one direction of a connection (kernel: nf_conntrack_tuple). Addresses are words in host
 * order, IPv4 in the first of four. For ICMP the source port is the id and the destination port type * 256 + code.
 */
import type { Family } from '../host/types.js';

export class Tuple {
  family: Family = 4;
  protocol = 0;
  readonly source = new Uint32Array(4);
  readonly destination = new Uint32Array(4);
  sourcePort = 0;
  destinationPort = 0;

  copyFrom(other: Tuple): this {
    this.family = other.family;
    this.protocol = other.protocol;
    copyAddress(other.source, this.source);
    copyAddress(other.destination, this.destination);
    this.sourcePort = other.sourcePort;
    this.destinationPort = other.destinationPort;
    return this;
  }

  equals(other: Tuple): boolean {
    return (
      this.sourcePort === other.sourcePort &&
      this.destinationPort === other.destinationPort &&
      this.protocol === other.protocol &&
      this.family === other.family &&
      sameAddress(this.source, other.source) &&
      sameAddress(this.destination, other.destination)
    );
  }
}

/** Word by word: for so few, the call of TypedArray.set is most of the work. */
export function copyAddress(from: Uint32Array, to: Uint32Array): void {
  to[0] = from[0] as number;
  to[1] = from[1] as number;
  to[2] = from[2] as number;
  to[3] = from[3] as number;
}

export function sameAddress(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** Swaps the bytes of a 32-bit word; the result is signed. */
export const swap32 = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** Swaps the bytes of a 16-bit number. */
export const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);
