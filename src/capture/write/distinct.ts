/** Keeps an output from being written over what it is made of. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { NatreplayError } from '../../errors.js';

/**
 * Throws NatreplayError when `output`, or the file written beside it until it is whole, is one of the inputs: the
 * same path, or another name of the same file (symbolic and hard links).
 */
export async function assertDistinct(inputs: readonly string[], output: string): Promise<void> {
  if (output === '-') return;
  for (const written of [output, `${output}.partial`]) {
    const target = await fileAt(written);
    if (target === undefined) continue;
    for (const input of inputs) {
      const source = input === '-' ? undefined : await fileAt(input);
      if (source === undefined || source.dev !== target.dev || source.ino !== target.ino) continue;
      const what =
        input === output ? 'it is an input as well as the output' : `it is the input ${input}, by another name`;
      throw new NatreplayError('CAPTURE_OUTPUT_IS_INPUT', what, { file: written, advice: 'write to another file' });
    }
  }
}

/** Devices and pipes are never the same in this sense: `/dev/null` is. */
async function fileAt(path: string): Promise<Stats | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() === true ? stats : undefined;
}
