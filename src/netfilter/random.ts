/** Random numbers from a seed: the same run gives the same bytes everywhere (xorshift128, Marsaglia 2003). */
export type RandomState = readonly [number, number, number, number];

export class Random {
  private x: number;
  private y: number;
  private z: number;
  private w: number;

  /** `seed`: any integer; its low 32 bits count. */
  constructor(seed: number) {
    // Splitting the seed as splitmix32 does keeps the state from being nearly zero for small seeds.
    let s = seed | 0;
    const next = (): number => {
      s = (s + 0x9e3779b9) | 0;
      let t = Math.imul(s ^ (s >>> 16), 0x21f0aaad);
      t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
      return t ^ (t >>> 15);
    };
    this.x = next();
    this.y = next();
    this.z = next();
    this.w = next() | 1;
  }

  /** What comes next, to be had again by `restore`. */
  save(): RandomState {
    return [this.x, this.y, this.z, this.w];
  }

  restore(state: RandomState): void {
    [this.x, this.y, this.z, this.w] = state;
  }

  /** Unsigned 32-bit number. */
  next32(): number {
    const t = this.x ^ (this.x << 11);
    this.x = this.y;
    this.y = this.z;
    this.z = this.w;
    this.w = this.w ^ (this.w >>> 19) ^ t ^ (t >>> 8);
    return this.w >>> 0;
  }

  /** Unsigned 16-bit number. */
  next16(): number {
    return this.next32() >>> 16;
  }
}
