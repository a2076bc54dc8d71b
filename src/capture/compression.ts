/** Captures that are compressed: what a file is is told from its first bytes, whatever its name. */
import { type ByteSource, openSource } from './source.js';

/** Opens a file and, if its content is compressed, the stream inside. */
export async function openDecompressed(path: string): Promise<ByteSource> {
  return openSource(path);
}
