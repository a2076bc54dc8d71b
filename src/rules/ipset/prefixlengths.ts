/** Which prefix lengths the networks of a set have, and how many of each (kernel: mtype_add_cidr). */
export class PrefixLengths {
  /** Those that there are, longest first. */
  present: readonly number[] = [];
  private readonly counts: Int32Array;

  /** `bits`: length of an address. */
  constructor(bits: number) {
    this.counts = new Int32Array(bits + 1);
  }

  /** Undefined for an empty set. */
  get longest(): number | undefined {
    return this.present[0];
  }

  add(length: number): void {
    const count = (this.counts[length] as number) + 1;
    this.counts[length] = count;
    if (count === 1) this.present = [...this.present, length].sort((a, b) => b - a);
  }

  remove(length: number): void {
    const count = (this.counts[length] as number) - 1;
    this.counts[length] = count;
    if (count === 0) this.present = this.present.filter((other) => other !== length);
  }
}
