/**
 * Follows the frames of a zstd stream (RFC 8878 section 3.1) without decompressing, to tell whether it ends where a
 * frame does: the library says nothing when a file is cut short.
 */

enum Expect {
  Magic,
  SkippableSize,
  Descriptor,
  Header,
  BlockHeader,
  Block,
  Checksum,
  Skippable,
}

const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const BLOCK_TYPE_RLE = 1;

export class ZstdFrameScanner {
  private expect = Expect.Magic;
  /** Bytes of the current part still to come, and those of them that were gathered as a little-endian number. */
  private left = 4;
  private value = 0;
  private read = 0;
  private lastBlock = false;
  private checksum = false;

  /** Whether what was pushed so far ends between two frames. */
  get atFrameEnd(): boolean {
    return this.expect === Expect.Magic && this.left === 4;
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
    return this.expect <= Expect.Descriptor || this.expect === Expect.BlockHeader;
  }

  private next(expect: Expect, length: number): void {
    this.expect = expect;
    this.left = length;
    this.value = 0;
    this.read = 0;
  }

  private advance(): void {
    const value = this.value;
    switch (this.expect) {
      case Expect.Magic:
        return Math.floor(value / 16) === 0x184d2a5
          ? this.next(Expect.SkippableSize, 4)
          : this.next(Expect.Descriptor, 1);
      case Expect.SkippableSize:
        return this.next(Expect.Skippable, value);
      case Expect.Descriptor:
        return this.next(Expect.Header, this.headerLength(value));
      case Expect.Header:
        return this.next(Expect.BlockHeader, 3);
      case Expect.BlockHeader: {
        this.lastBlock = (value & 1) === 1;
        return this.next(Expect.Block, ((value >> 1) & 3) === BLOCK_TYPE_RLE ? 1 : value >> 3);
      }
      case Expect.Block:
        if (!this.lastBlock) return this.next(Expect.BlockHeader, 3);
        return this.checksum ? this.next(Expect.Checksum, 4) : this.next(Expect.Magic, 4);
      default:
        return this.next(Expect.Magic, 4);
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
