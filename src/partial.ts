/**
 * Files that get their name when they are whole: written beside as `NAME.partial`, then renamed. Two runs that write the
 * same output at once must not write into one another's file, nor give an unfinished one its name.
 */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { NatreplayError } from './errors.js';

/**
 * Makes a file of this run alone. What an earlier run left under the name is removed, not written over: that run may
 * still be going on, or the name may be a symbolic link. Throws what the system says.
 */
export async function createPartial(path: string): Promise<FileHandle> {
  await rm(path, { force: true });
  return await open(path, 'wx');
}

/**
 * Closes a whole file and gives it its name. Throws OUTPUT_TAKEN (exit code 3) when what is called `partial` is not this
 * file any more, and what the system says.
 */
export async function finishPartial(handle: FileHandle, partial: string, name: string): Promise<void> {
  try {
    const own = await handle.stat();
    const there = await stat(partial).catch(() => undefined);
    if (there === undefined || own.ino !== there.ino || own.dev !== there.dev) throw outputTaken(name);
  } finally {
    await handle.close();
  }
  await rename(partial, name);
}

function outputTaken(file: string): NatreplayError {
  return new NatreplayError('OUTPUT_TAKEN', 'its .partial file was removed, or another run has put its own there', {
    file,
    exitCode: 3,
    advice: 'let one run write it at a time',
  });
}
