/**
 * The elements of a set: keys of a fixed number of words in one array, found through an index with open addressing, and
 * columns for what a set keeps of each element. A million IPv4 addresses take 13 MB.
 *
 *   keys    `keyWords` words an element, in the order they were added
 *   index   4 bytes a slot: element + 1, or 0; at most half full; removal shifts the cluster back (Knuth 6.4, algorithm R)
 *   live    1 for an element that is there, 0 for a place that is free again
 */
const MIN_CAPACITY = 16;

/** What a set keeps of its elements beside their keys. */
export interface ElementColumns {
  readonly timeouts: boolean;
  readonly counters: boolean;
  readonly skbinfo: boolean;
}

/** One element's row of them. */
export interface SavedColumns {
  readonly nomatch: number;
  readonly timeout: number;
  readonly packets: number;
  readonly bytes: number;
  readonly skbinfo: Uint32Array | undefined;
}

/** Words of an element's skbinfo: mark, its mask, priority, queue. */
export const SKB_WORDS = 4;

export class Elements {
  /** Elements there are. */
  count = 0;
  /** Jiffy after which the element is gone, 0 for never; undefined for a set without timeouts. */
  timeouts: Float64Array | undefined;
  packets: Float64Array | undefined;
  bytes: Float64Array | undefined;
  /** SKB_WORDS an element. */
  skbinfo: Uint32Array | undefined;
  /** 1 where the element is an exception (`nomatch`). */
  nomatch: Uint8Array;
  private keys: Int32Array;
  private live: Uint8Array;
  private index: Int32Array;
  private slotMask: number;
  private capacity = MIN_CAPACITY;
  /** Places ever used. */
  private used = 0;
  private free: number[] = [];

  constructor(
    readonly keyWords: number,
    columns: ElementColumns,
  ) {
    this.keys = new Int32Array(keyWords * MIN_CAPACITY);
    this.live = new Uint8Array(MIN_CAPACITY);
    this.nomatch = new Uint8Array(MIN_CAPACITY);
    this.index = new Int32Array(2 * MIN_CAPACITY);
    this.slotMask = 2 * MIN_CAPACITY - 1;
    if (columns.timeouts) this.timeouts = new Float64Array(MIN_CAPACITY);
    if (columns.counters) {
      this.packets = new Float64Array(MIN_CAPACITY);
      this.bytes = new Float64Array(MIN_CAPACITY);
    }
    if (columns.skbinfo) this.skbinfo = new Uint32Array(SKB_WORDS * MIN_CAPACITY);
  }

  /** The element with that key, -1 if there is none. */
  find(key: Int32Array): number {
    const { index, slotMask } = this;
    let slot = this.hash(key, 0) & slotMask;
    for (;;) {
      const element = (index[slot] as number) - 1;
      if (element < 0 || this.isKey(element, key)) return element;
      slot = (slot + 1) & slotMask;
    }
  }

  /** Adds a key that is not there; its columns are zero. */
  add(key: Int32Array): number {
    const { keyWords } = this;
    if (this.free.length === 0 && this.used === this.capacity) this.grow();
    const element = this.free.pop() ?? this.used++;
    for (let k = 0; k < keyWords; k++) this.keys[element * keyWords + k] = key[k] as number;
    this.live[element] = 1;
    this.clear(element);
    this.count++;
    this.link(element);
    return element;
  }

  remove(element: number): void {
    const { index, slotMask, keyWords } = this;
    let hole = this.hash(this.keys, element * keyWords) & slotMask;
    while (index[hole] !== element + 1) hole = (hole + 1) & slotMask;
    for (let next = (hole + 1) & slotMask; index[next] !== 0; next = (next + 1) & slotMask) {
      const home = this.hash(this.keys, ((index[next] as number) - 1) * keyWords) & slotMask;
      if (((next - home) & slotMask) < ((next - hole) & slotMask)) continue;
      index[hole] = index[next] as number;
      hole = next;
    }
    index[hole] = 0;
    this.live[element] = 0;
    this.free.push(element);
    this.count--;
  }

  /** Word `k` of an element's key. */
  word(element: number, k: number): number {
    return this.keys[element * this.keyWords + k] as number;
  }

  /** Elements that are there, oldest place first. */
  *all(): Generator<number> {
    for (let element = 0; element < this.used; element++) if (this.live[element] === 1) yield element;
  }

  /** What the columns hold of an element; what it returns puts that back. */
  saved(element: number): () => void {
    const columns = this.columnsOf(element);
    return () => this.setColumns(element, columns);
  }

  columnsOf(element: number): SavedColumns {
    return {
      nomatch: this.nomatch[element] as number,
      timeout: this.timeouts?.[element] ?? 0,
      packets: this.packets?.[element] ?? 0,
      bytes: this.bytes?.[element] ?? 0,
      skbinfo: this.skbinfo?.slice(element * SKB_WORDS, (element + 1) * SKB_WORDS),
    };
  }

  setColumns(element: number, { nomatch, timeout, packets, bytes, skbinfo }: SavedColumns): void {
    this.nomatch[element] = nomatch;
    if (this.timeouts !== undefined) this.timeouts[element] = timeout;
    if (this.packets !== undefined) this.packets[element] = packets;
    if (this.bytes !== undefined) this.bytes[element] = bytes;
    if (skbinfo !== undefined) this.skbinfo?.set(skbinfo, element * SKB_WORDS);
  }

  private clear(element: number): void {
    this.nomatch[element] = 0;
    if (this.timeouts !== undefined) this.timeouts[element] = 0;
    if (this.packets !== undefined) this.packets[element] = 0;
    if (this.bytes !== undefined) this.bytes[element] = 0;
    this.skbinfo?.fill(0, element * SKB_WORDS, (element + 1) * SKB_WORDS);
  }

  private isKey(element: number, key: Int32Array): boolean {
    const { keys, keyWords } = this;
    const at = element * keyWords;
    for (let k = 0; k < keyWords; k++) if (keys[at + k] !== key[k]) return false;
    return true;
  }

  /** Multiplicative, each word spread over all bits before the next (as MurmurHash3 mixes). */
  private hash(words: Int32Array, at: number): number {
    let hash = 0;
    for (let k = 0; k < this.keyWords; k++) {
      let word = Math.imul(words[at + k] as number, 0xcc9e2d51);
      word = (word << 15) | (word >>> 17);
      hash = Math.imul(hash ^ Math.imul(word, 0x1b873593), 5) + 0xe6546b64;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    return hash ^ (hash >>> 13);
  }

  private link(element: number): void {
    const { index, slotMask } = this;
    let slot = this.hash(this.keys, element * this.keyWords) & slotMask;
    while (index[slot] !== 0) slot = (slot + 1) & slotMask;
    index[slot] = element + 1;
  }

  private grow(): void {
    this.capacity *= 2;
    const { capacity } = this;
    this.keys = grownInts(this.keys, capacity * this.keyWords);
    this.live = grownBytes(this.live, capacity);
    this.nomatch = grownBytes(this.nomatch, capacity);
    if (this.timeouts !== undefined) this.timeouts = grownFloats(this.timeouts, capacity);
    if (this.packets !== undefined) this.packets = grownFloats(this.packets, capacity);
    if (this.bytes !== undefined) this.bytes = grownFloats(this.bytes, capacity);
    if (this.skbinfo !== undefined) {
      const larger = new Uint32Array(capacity * SKB_WORDS);
      larger.set(this.skbinfo);
      this.skbinfo = larger;
    }
    this.index = new Int32Array(2 * capacity);
    this.slotMask = 2 * capacity - 1;
    for (let element = 0; element < this.used; element++) if (this.live[element] === 1) this.link(element);
  }
}

function grownInts(array: Int32Array, length: number): Int32Array {
  const larger = new Int32Array(length);
  larger.set(array);
  return larger;
}

function grownBytes(array: Uint8Array, length: number): Uint8Array {
  const larger = new Uint8Array(length);
  larger.set(array);
  return larger;
}

function grownFloats(array: Float64Array, length: number): Float64Array {
  const larger = new Float64Array(length);
  larger.set(array);
  return larger;
}
