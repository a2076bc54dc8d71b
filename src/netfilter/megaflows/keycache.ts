/** What is known of keys of a few words: open addressing, nothing is ever forgotten, and nothing more taken up when it is full. */

/** Keys held at the most. */
const MOST = 1 << 16;
const FIRST_SLOTS = 1 << 8;

export class KeyCache<T> {
  /** The key that `find` looks for; to be filled before. */
  readonly key: Int32Array;
  private keys: Int32Array;
  private values: (T | undefined)[] = new Array<undefined>(FIRST_SLOTS).fill(undefined);
  private mask = FIRST_SLOTS - 1;
  private count = 0;
  /** Slot of the key last looked for in vain. */
  private slot = 0;

  /** `keyWords`: words of a key. */
  constructor(private readonly keyWords: number) {
    this.key = new Int32Array(keyWords);
    this.keys = new Int32Array(FIRST_SLOTS * keyWords);
  }

  /** Hot path of new connections. */
  find(): T | undefined {
    const { key, keys, values, keyWords, mask } = this;
    let slot = hashOf(key, 0, keyWords) & mask;
    for (let value = values[slot]; value !== undefined; slot = (slot + 1) & mask, value = values[slot]) {
      const at = slot * keyWords;
      let k = 0;
      while (k < keyWords && keys[at + k] === key[k]) k++;
      if (k === keyWords) return value;
    }
    this.slot = slot;
    return undefined;
  }

  /** Notes what is known from now on of the key last looked for, of which nothing was. */
  remember(value: T): void {
    if (this.count === MOST) return;
    this.keys.set(this.key, this.slot * this.keyWords);
    this.values[this.slot] = value;
    this.count++;
    if (this.count * 2 > this.mask) this.grow();
  }

  private grow(): void {
    const { keys, values, keyWords } = this;
    const slots = values.length * 2;
    this.keys = new Int32Array(slots * keyWords);
    this.values = new Array<undefined>(slots).fill(undefined);
    this.mask = slots - 1;
    for (let from = 0; from < values.length; from++) {
      const value = values[from];
      if (value === undefined) continue;
      const at = from * keyWords;
      let slot = hashOf(keys, at, keyWords) & this.mask;
      while (this.values[slot] !== undefined) slot = (slot + 1) & this.mask;
      this.keys.set(keys.subarray(at, at + keyWords), slot * keyWords);
      this.values[slot] = value;
    }
  }
}

function hashOf(keys: Int32Array, at: number, words: number): number {
  let h = 0;
  for (let k = 0; k < words; k++) {
    h = Math.imul(h ^ (keys[at + k] as number), 0x9e3779b1);
    h ^= h >>> 15;
  }
  return h;
}
