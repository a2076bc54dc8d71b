/** Loads the WebAssembly module of the hot path, which scripts/assembly.mjs compiles from assembly/. */
import { readFileSync } from 'node:fs';
import type { Workspace } from '../../workspace.js';

/** What assembly/index.ts exports; numbers are 32-bit integers, addresses are bytes in the workspace. */
export interface HotExports {
  setRecords(
    start: number,
    end: number,
    frame: number,
    captured: number,
    wire: number,
    source: number,
    direction: number,
    seconds: number,
    nanoseconds: number,
    output: number,
  ): void;
  setColumns(
    kind: number,
    flags: number,
    protocol: number,
    l3: number,
    l4: number,
    end: number,
    totalLength: number,
    source: number,
    destination: number,
    ports: number,
    hash: number,
    ifindex: number,
    sender: number,
  ): void;
  setInputs(at: number, count: number, macBits: number): void;
  setPolicy(checksums: number, writeLocal: number, clock: number, counters: number, ways: number): void;
  setTimeouts(
    udp: number,
    udpStream: number,
    retransmitted: number,
    unacknowledged: number,
    maxRetransmissions: number,
  ): void;
  setTransitions(transitions: number, timeouts: number): void;
  setTable(entries: number, index: number): void;
  setSlots(shift: number): void;
  begin(slab: number, first: number, last: number): void;
  run(next: number, last: number, accepted: number): number;
  stoppedReference(): number;
  setReference(reference: number): void;
  parsedIp(i: number): number;
  parsedEnd(i: number): number;
  fill(i: number): number;
  pack(slab: number, count: number, anyShortened: number, bigEndian: number): number;
  packedRecords(): number;
}

const FILE = new URL('./hotpath.wasm', import.meta.url);

let compiled: WebAssembly.Module | undefined;

/** Undefined when there is no module (run from sources that were not built) or this machine can't run it (no SIMD). */
export function loadHotModule(workspace: Workspace): HotExports | undefined {
  try {
    compiled ??= new WebAssembly.Module(readFileSync(FILE));
    return new WebAssembly.Instance(compiled, { env: { memory: workspace.memory } }).exports as HotExports;
  } catch {
    return undefined;
  }
}
