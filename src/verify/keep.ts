/** `--keep DIR`: what was put to both sides, what came of it, and everything needed to do it again. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { buildInterface, buildPacket, buildSection, encodeTime } from '../capture/pcapng.js';
import { NatreplayError } from '../errors.js';
import type { AttributedFrame } from './compare.js';
import type { SourcePacket } from './source.js';

const MICROSECONDS = 6;
const FLUSH_BYTES = 1 << 20;

/** Files of the folder, by name. */
export type Texts = Readonly<Record<string, string | undefined>>;

export class Keeper {
  private constructor(
    private readonly folder: string,
    private readonly sent: KeptCapture,
    private readonly kernel: KeptCapture,
    private readonly predicted: KeptCapture,
  ) {}

  /** Makes the folder if need be. Throws VERIFY_KEEP_FAILED. */
  static async open(folder: string): Promise<Keeper> {
    try {
      mkdirSync(folder, { recursive: true });
      const file = (name: string): Promise<KeptCapture> => KeptCapture.open(join(folder, name));
      return new Keeper(folder, await file('sent.pcapng'), await file('kernel.pcapng'), await file('natreplay.pcapng'));
    } catch (cause) {
      const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
      throw new NatreplayError('VERIFY_KEEP_FAILED', `--keep ${folder}: cannot write there (${code})`, { cause });
    }
  }

  async packet(
    packet: SourcePacket,
    time: number,
    kernel: readonly AttributedFrame[],
    predicted: readonly AttributedFrame[],
  ): Promise<void> {
    await this.sent.add(packet.iface, packet.frame, time);
    for (const { iface, frame } of kernel) await this.kernel.add(iface, frame, time);
    for (const { iface, frame } of predicted) await this.predicted.add(iface, frame, time);
  }

  listings(texts: Texts): void {
    for (const [name, text] of Object.entries(texts)) {
      if (text !== undefined) writeFileSync(join(this.folder, name), text);
    }
  }

  async close(): Promise<void> {
    await this.sent.close();
    await this.kernel.close();
    await this.predicted.close();
  }
}

/** A pcapng file of Ethernet frames whose interfaces are described as they turn up. */
class KeptCapture {
  #waiting: Uint8Array[] = [buildSection()];
  #bytes = 0;
  readonly #interfaces = new Map<string, number>();

  private constructor(private readonly file: FileHandle) {}

  static async open(path: string): Promise<KeptCapture> {
    return new KeptCapture(await open(path, 'w'));
  }

  /** `time`: milliseconds since 1970. */
  async add(iface: string, frame: Uint8Array, time: number): Promise<void> {
    let interfaceId = this.#interfaces.get(iface);
    if (interfaceId === undefined) {
      interfaceId = this.#interfaces.size;
      this.#interfaces.set(iface, interfaceId);
      const described = { name: iface, linkType: 1, snaplen: 262144, tsresol: MICROSECONDS, tsoffset: 0n };
      this.#push(buildInterface(described, true));
    }
    const seconds = Math.floor(time / 1000);
    const units = encodeTime(seconds, Math.floor((time - seconds * 1000) * 1e6), MICROSECONDS, 0n);
    this.#push(buildPacket({ interfaceId, time: units, wireLength: frame.length, frame }, true));
    if (this.#bytes >= FLUSH_BYTES) await this.#flush();
  }

  #push(block: Uint8Array): void {
    this.#waiting.push(block);
    this.#bytes += block.length;
  }

  async #flush(): Promise<void> {
    await this.file.write(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#bytes = 0;
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.file.close();
  }
}
