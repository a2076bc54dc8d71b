/** The contracts of capture files: what a reader yields and what a writer takes. Bytes and time, no protocols. */
import type { Slab } from './slab.js';

export type CaptureFormat = 'pcap' | 'pcapng';

/** An interface as the capture describes it: one for a pcap file, one for each description block of a pcapng file. */
export interface CaptureInterface {
  /** if_name of pcapng, if it is there. */
  readonly name: string | undefined;
  /** LINKTYPE_* number of the pcap registry. */
  readonly linkType: number;
  /** 0: no limit stated. */
  readonly snaplen: number;
  /** Name given on the command line (`eth0=outside.pcap`), which outranks the capture's own. */
  readonly assignedName: string | undefined;
  /** if_tsresol of pcapng: digits after the second's point, or with the top bit set a power of 2. Undefined: 6. */
  readonly tsresol?: number | undefined;
  /** if_tsoffset of pcapng: seconds added to every timestamp. Undefined: 0. */
  readonly tsoffset?: bigint | undefined;
}

/** Something odd that did not stop the reading, e.g. a file cut in the middle of its last record. */
export interface CaptureWarning {
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly offset: number | undefined;
}

export interface CaptureReader {
  /** As named by the user; `-` is standard input. */
  readonly path: string;
  readonly format: CaptureFormat;
  /** Grows while a pcapng file is read; indexes stay valid. */
  readonly interfaces: readonly CaptureInterface[];
  readonly warnings: readonly CaptureWarning[];
  /** The 24 bytes a pcap file begins with, which a writer of the same format keeps; undefined for pcapng. */
  readonly fileHeader?: Uint8Array | undefined;
  /** Bytes consumed so far of the file as stored (compressed bytes if it is compressed), and their total if known. */
  readonly bytesRead: number;
  readonly totalBytes: number | undefined;
  /** For readers that hand over few records at a time: those that they have read already, for whoever needs a sample. */
  readonly ahead?: Slab | undefined;
  /** Reads and walks the next slab. False when there are no more records and no more blocks. */
  next(slab: Slab): Promise<boolean>;
  close(): Promise<void>;
}

/** An interface of the output: where a packet left. `name` is undefined when nothing is known but the capture's own. */
export interface OutputInterface {
  readonly name: string | undefined;
}

/** Marks a record that is not written. */
export const NOT_WRITTEN = -1;

/** A record that is not in the slab at its place: a reassembled fragment, a packet the host made. */
export interface ExtraRecord {
  /** It is written after the slab's record with this index (and before the next one). */
  readonly after: number;
  /** Index into the writer's output interfaces. */
  readonly output: number;
  /** Interface of the capture whose link type, resolution and snaplen it has. */
  readonly source: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly wireLength: number;
  readonly frame: Uint8Array;
}

export interface CaptureWriter {
  /**
   * Writes a slab's records whose `output[i]` is not NOT_WRITTEN, in order; `output[i]` is an index into the output
   * interfaces. The slab must stay untouched until the promise is settled.
   */
  write(slab: Slab, output: Int32Array, extras?: readonly ExtraRecord[]): Promise<void>;
  /** Finishes every file and gives it its final name. */
  close(): Promise<void>;
  /** Stops: what was written stays beside as `NAME.partial`, the final name is not touched. */
  abort(): Promise<void>;
  /** What was written, a line per file. Complete after close. */
  readonly files: readonly WrittenFile[];
}

export interface WrittenFile {
  readonly path: string;
  /** Name of the egress interface when the output is split by interface. */
  readonly iface: string | undefined;
  readonly records: number;
  /** Of the capture itself, before compression. */
  readonly bytes: number;
}
