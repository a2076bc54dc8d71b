/** Compiles the hot path's AssemblyScript, unless its WebAssembly is newer. */
export function compileAssembly(): Promise<void>;
