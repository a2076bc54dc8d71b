/**
 * The one block of memory that the WebAssembly loops see: slabs, their columns and the IPv4 flow table lie in it.
 *
 *    0        64 KiB                        64 MiB    576 MiB    832 MiB                  4 GiB
 *    | static | slabs, columns, small tables | index   | sources  | entries of the flow table |
 *
 * Addresses are reserved, not memory: a page becomes real when it is first written.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const PAGE = 64 * KIB;
const MAX_PAGES = 65_536;
/** Data and scratch of the WebAssembly module itself. */
const STATIC_END = 64 * KIB;
const SMALL_END = 64 * MIB;
const INDEX_START = SMALL_END;
const SOURCES_START = 576 * MIB;
export const ENTRIES_START = 832 * MIB;

/** Whatever hands out memory for typed arrays. */
export interface Allocator {
  ints(count: number): Int32Array;
  bytes(count: number): Uint8Array;
  doubles(count: number): Float64Array;
}

/** Memory of its own for each array, shared between threads. */
export const separately: Allocator = {
  ints: (count) => new Int32Array(new SharedArrayBuffer(count * 4)),
  bytes: (count) => new Uint8Array(new SharedArrayBuffer(count)),
  doubles: (count) => new Float64Array(new SharedArrayBuffer(count * 8)),
};

/** Shared memory of `initial` pages that can grow in place to `maximum`; undefined where that much is not to be had. */
export function reservedMemory(initial: number, maximum: number): WebAssembly.Memory | undefined {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export class Workspace implements Allocator {
  /** Where the next array of the small ones goes. */
  private next = STATIC_END;
  /** Growing replaces the memory's buffer; every one of them is a window on the same bytes. */
  private readonly buffers = new WeakSet<object>();

  private constructor(readonly memory: WebAssembly.Memory) {}

  /** Undefined where that much address space is not to be had. */
  static create(): Workspace | undefined {
    const memory = reservedMemory(ENTRIES_START / PAGE + 1, MAX_PAGES);
    return memory === undefined ? undefined : new Workspace(memory);
  }

  ints(count: number): Int32Array {
    const at = this.take(count * 4);
    return at < 0 ? separately.ints(count) : new Int32Array(this.buffer(), at, count);
  }

  bytes(count: number): Uint8Array {
    const at = this.take(count);
    return at < 0 ? separately.bytes(count) : new Uint8Array(this.buffer(), at, count);
  }

  doubles(count: number): Float64Array {
    const at = this.take(count * 8);
    return at < 0 ? separately.doubles(count) : new Float64Array(this.buffer(), at, count);
  }

  /** Address of an array's first byte, -1 if it does not lie here. */
  addressOf({ buffer, byteOffset }: ArrayBufferView): number {
    return this.buffers.has(buffer) ? byteOffset : -1;
  }

  /** The flow table's index, all of it: bytes that were there before stay. */
  index(slots: number): Int32Array {
    return new Int32Array(this.buffer(), INDEX_START, slots);
  }

  /** Heads of the flow table's lists by source. */
  sources(slots: number): Int32Array {
    return new Int32Array(this.buffer(), SOURCES_START, slots);
  }

  private buffer(): ArrayBufferLike {
    const { buffer } = this.memory;
    this.buffers.add(buffer);
    return buffer;
  }

  /** Address and start of a cache line; -1 when the room for small arrays is used up. */
  private take(bytes: number): number {
    // An odd number of lines between arrays of equal length, or their entries would compete for the same cache sets.
    const at = this.next;
    const end = at + Math.ceil(bytes / 64) * 64 + 64;
    if (end > SMALL_END) return -1;
    this.next = end;
    return at;
  }
}
