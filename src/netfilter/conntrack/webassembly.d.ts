/** The one part of WebAssembly that the flow table uses; the full declarations come with the DOM, which Node has not. */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum: number; shared: true });
    readonly buffer: SharedArrayBuffer;
    /** Adds pages of 64 KiB and returns how many there were; throws a RangeError when there is no memory. */
    grow(pages: number): number;
  }
}
