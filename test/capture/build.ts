/** Captures made by hand, byte by byte, independently of the code under test. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

export class Bytes {
  private readonly parts: number[] = [];
  constructor(readonly bigEndian: boolean) {}

  u8(...values: number[]): this {
    this.parts.push(...values);
    return this;
  }
  u16(value: number): this {
    return this.number(BigInt(value), 2);
  }
  u32(value: number): this {
    return this.number(BigInt(value), 4);
  }
  u64(value: bigint): this {
    return this.number(BigInt.asUintN(64, value), 8);
  }
  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.parts.push(byte);
    return this;
  }
  pad4(): this {
    while (this.parts.length % 4 !== 0) this.parts.push(0);
    return this;
  }
  private number(value: bigint, width: number): this {
    const bytes = Array.from({ length: width }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    this.parts.push(...(this.bigEndian ? bytes.reverse() : bytes));
    return this;
  }
  get length(): number {
    return this.parts.length;
  }
  done(): Buffer {
    return Buffer.from(this.parts);
  }
}

export interface TestRecord {
  readonly seconds: number;
  /** In the file's own unit. */
  readonly fraction: number;
  readonly frame: Uint8Array;
  /** Defaults to the frame's length. */
  readonly wireLength?: number;
}

export interface PcapOptions {
  readonly bigEndian?: boolean;
  readonly magic?: number;
  readonly linkType?: number;
  readonly snaplen?: number;
  readonly minor?: number;
}

export function pcap(records: readonly TestRecord[], options: PcapOptions = {}): Buffer {
  const { bigEndian = false, magic = 0xa1b2c3d4, linkType = 1, snaplen = 65535, minor = 4 } = options;
  const bytes = new Bytes(bigEndian).u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(snaplen).u32(linkType);
  for (const { seconds, fraction, frame, wireLength = frame.length } of records) {
    bytes.u32(seconds).u32(fraction).u32(frame.length).u32(wireLength);
    if (magic === 0xa1b2cd34) bytes.u32(2).u16(0x0800).u8(4, 0);
    bytes.raw(frame);
  }
  return bytes.done();
}

export interface TestOption {
  readonly code: number;
  readonly value: Uint8Array;
}

export const text = (code: number, value: string): TestOption => ({ code, value: Buffer.from(value) });

/** Makes the blocks of a pcapng section in one byte order. */
export class Section {
  constructor(readonly bigEndian = false) {}

  bytes(): Bytes {
    return new Bytes(this.bigEndian);
  }

  block(type: number, body: Bytes, options: readonly TestOption[] = []): Buffer {
    body.pad4();
    for (const { code, value } of options) body.u16(code).u16(value.length).raw(value).pad4();
    if (options.length > 0) body.u16(0).u16(0);
    const length = body.length + 12;
    return this.bytes().u32(type).u32(length).raw(body.done()).u32(length).done();
  }

  header(length = -1n, options: readonly TestOption[] = []): Buffer {
    return this.block(0x0a0d0d0a, this.bytes().u32(0x1a2b3c4d).u16(1).u16(0).u64(length), options);
  }

  iface(linkType = 1, options: readonly TestOption[] = [], snaplen = 0): Buffer {
    return this.block(1, this.bytes().u16(linkType).u16(0).u32(snaplen), options);
  }

  enhanced(
    id: number,
    time: bigint,
    frame: Uint8Array,
    options: readonly TestOption[] = [],
    wireLength = frame.length,
  ): Buffer {
    const body = this.bytes()
      .u32(id)
      .u32(Number(time >> 32n))
      .u32(Number(time & 0xffffffffn));
    return this.block(6, body.u32(frame.length).u32(wireLength).raw(frame), options);
  }

  simple(frame: Uint8Array, wireLength = frame.length): Buffer {
    return this.block(3, this.bytes().u32(wireLength).raw(frame));
  }

  obsolete(
    id: number,
    time: bigint,
    frame: Uint8Array,
    options: readonly TestOption[] = [],
    wireLength = frame.length,
  ): Buffer {
    const body = this.bytes()
      .u16(id)
      .u16(0xffff)
      .u32(Number(time >> 32n))
      .u32(Number(time & 0xffffffffn));
    return this.block(2, body.u32(frame.length).u32(wireLength).raw(frame), options);
  }

  statistics(id: number): Buffer {
    return this.block(5, this.bytes().u32(id).u32(1).u32(2), [{ code: 4, value: this.bytes().u64(7n).done() }]);
  }

  names(): Buffer {
    return this.block(4, this.bytes().u16(1).u16(7).u8(192, 0, 2, 1).raw(Buffer.from('a\0b')).pad4().u16(0).u16(0));
  }

  number32(code: number, value: number): TestOption {
    return { code, value: this.bytes().u32(value).done() };
  }

  number64(code: number, value: bigint): TestOption {
    return { code, value: this.bytes().u64(value).done() };
  }
}

/** Paths in a folder of the test file's own, removed when its tests are done. */
export interface Folder {
  /** The path of a file, written if there is content. */
  (name: string, content?: Uint8Array): string;
  read(path: string): Buffer;
}

export function temporaryFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'natreplay-capture-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = (name: string, content?: Uint8Array): string => {
    const full = join(folder, name);
    if (content !== undefined) writeFileSync(full, content);
    return full;
  };
  return Object.assign(path, { read: (full: string): Buffer => readFileSync(full) });
}
