/** The parts of WebAssembly that are used here; the full declarations come with the DOM, which Node has not. */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum: number; shared: true });
    readonly buffer: SharedArrayBuffer;
    /** Adds pages of 64 KiB and returns how many there were; throws a RangeError when there is no memory. */
    grow(pages: number): number;
  }
  class Module {
    /** Throws a CompileError when the bytes are no module, or one that needs more than the engine has. */
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: { readonly env: { readonly memory: Memory } });
    readonly exports: unknown;
  }
}
