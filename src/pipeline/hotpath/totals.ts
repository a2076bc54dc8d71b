/** What the WebAssembly loops count, as 64-bit integers in the workspace; the layout is assembly/settings.ts's. */
import type { Workspace } from '../../workspace.js';

const FORWARDED = 0;
const LOCAL = 1;
const TRANSLATED = 2;
const PROBES = 3;
const SHORTENED = 4;
const INTERFACES = 8;
const PER_INTERFACE = 4;

export class HotTotals {
  /** Of the first counter in the workspace, -1 if there was no room. */
  readonly address: number;
  /** Low and high halves. */
  private readonly halves: Uint32Array;

  constructor(
    workspace: Workspace,
    readonly interfaces: number,
  ) {
    const ints = workspace.ints((INTERFACES + PER_INTERFACE * interfaces) * 2);
    this.address = workspace.addressOf(ints);
    this.halves = new Uint32Array(ints.buffer, ints.byteOffset, ints.length);
  }

  private at(word: number): number {
    return (this.halves[word * 2] as number) + (this.halves[word * 2 + 1] as number) * 0x100000000;
  }

  get forwarded(): number {
    return this.at(FORWARDED);
  }
  get local(): number {
    return this.at(LOCAL);
  }
  get translated(): number {
    return this.at(TRANSLATED);
  }
  /** Slots of the index that lookups looked at. */
  get probes(): number {
    return this.at(PROBES);
  }

  /** Records whose padding was cut since the last call. */
  takeShortened(): number {
    const count = this.halves[SHORTENED * 2] as number;
    this.halves[SHORTENED * 2] = 0;
    return count;
  }

  /** Packets and bytes that interface `index` received and sent. */
  interface(index: number): { rxPackets: number; rxBytes: number; txPackets: number; txBytes: number } {
    const first = INTERFACES + PER_INTERFACE * index;
    return {
      rxPackets: this.at(first),
      rxBytes: this.at(first + 1),
      txPackets: this.at(first + 2),
      txBytes: this.at(first + 3),
    };
  }
}
