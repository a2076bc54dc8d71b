/**
 * Follows the frames of a zstd stream (RFC 8878 section 3.1) without decompressing, to tell whether it ends where a
 * frame does: the library says nothing when a file is cut short.
 */

/** The parts of a frame; those up to DESCRIPTOR, and BLOCK_HEADER, are read as numbers, the others skipped. */
const MAGIC = 0;
const SKIPPABLE_SIZE = 1;
const DESCRIPTOR = 2;
const HEADER = 3;
const BLOCK_HEADER = 4;
const BLOCK = 5;
const CHECKSUM = 6;
const SKIPPABLE = 7;

const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const BLOCK_TYPE_RLE = 1;

export class ZstdFrameScanner {
  private expect: number = MAGIC;
  /** Bytes of the current part still to come, and those of them that were gathered as a little-endian number. */
  private left = 4;
  private value = 0;
  private read = 0;
  private lastBlock = false;
  private checksum = false;

  /** Whether what was pushed so far ends between two frames. */
  get atFrameEnd(): boolean {
    return this.expect === MAGIC && this.left === 4;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.gathers()) {
        this.value += (bytes[at] as number) * 2 ** (8 * this.read);
        this.read++;
        this.left--;
        at++;
      } else {
        const skipped = Math.min(this.left, bytes.length - at);
        this.left -= skipped;
        at += skipped;
      }
      while (this.left === 0) this.advance();
    }
  }

  private gathers(): boolean {
    return this.expect <= DESCRIPTOR || this.expect === BLOCK_HEADER;
  }

  private next(expect: number, length: number): void {
    this.expect = expect;
    this.left = length;
    this.value = 0;
    this.read = 0;
  }

  /** The current part is complete: on to the next. */
  private advance(): void {
    const value = this.value;
    switch (this.expect) {
      case MAGIC:
        if (Math.floor(value / 16) === 0x184d2a5) this.next(SKIPPABLE_SIZE, 4);
        else this.next(DESCRIPTOR, 1);
        break;
      case SKIPPABLE_SIZE:
        this.next(SKIPPABLE, value);
        break;
      case DESCRIPTOR:
        this.next(HEADER, this.headerLength(value));
        break;
      case HEADER:
        this.next(BLOCK_HEADER, 3);
        break;
      case BLOCK_HEADER:
        this.lastBlock = (value & 1) === 1;
        this.next(BLOCK, ((value >> 1) & 3) === BLOCK_TYPE_RLE ? 1 : value >> 3);
        break;
      case BLOCK:
        if (!this.lastBlock) this.next(BLOCK_HEADER, 3);
        else if (this.checksum) this.next(CHECKSUM, 4);
        else this.next(MAGIC, 4);
        break;
      default:
        this.next(MAGIC, 4);
    }
  }

  /** What follows the descriptor before the first block. */
  private headerLength(descriptor: number): number {
    this.checksum = ((descriptor >> 2) & 1) === 1;
    const singleSegment = ((descriptor >> 5) & 1) === 1;
    const contentSizeFlag = (descriptor >> 6) as 0 | 1 | 2 | 3;
    const dictionary = DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3];
    const contentSize = contentSizeFlag === 0 && singleSegment ? 1 : CONTENT_SIZE_BYTES[contentSizeFlag];
    return (singleSegment ? 0 : 1) + dictionary + contentSize;
  }
}
