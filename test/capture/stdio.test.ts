import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { pcap } from './build.js';

const CONTENT = pcap(
  Array.from({ length: 4000 }, (_, i) => ({ seconds: i, fraction: 0, frame: new Uint8Array(i % 300).fill(i) })),
);

interface Run {
  readonly code: number | null;
  readonly output: Buffer;
  readonly errors: string;
}

/** Gives `pieces` to the copying process one after the other; `hangUp` closes its output at once. */
function pipe(pieces: readonly Buffer[], hangUp = false): Promise<Run> {
  return new Promise((resolve) => {
    const script = fileURLToPath(new URL('pipe.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: 'pipe' });
    const output: Buffer[] = [];
    let errors = '';
    child.stdout.on('data', (piece: Buffer) => output.push(piece));
    child.stderr.on('data', (piece: Buffer) => {
      errors += piece.toString();
    });
    child.stdin.on('error', () => {});
    child.on('close', (code) => resolve({ code, output: Buffer.concat(output), errors }));
    if (hangUp) child.stdout.destroy();
    for (const piece of pieces) child.stdin.write(piece);
    child.stdin.end();
  });
}

describe('standard input and output', () => {
  it('take a capture in pieces of any size, compressed or not', async () => {
    const pieces = [0, 1, 30, 31, 5000, CONTENT.length].map((at, i, all) => CONTENT.subarray(all[i - 1] ?? 0, at));
    const [plain, gzipped] = await Promise.all([pipe(pieces), pipe([gzipSync(CONTENT)])]);
    expect(plain.errors).toBe('');
    expect(plain.output.equals(CONTENT)).toBe(true);
    expect(gzipped.output.equals(CONTENT)).toBe(true);
  });

  it('say so when there is nothing, or nobody reads', async () => {
    const [nothing, closed] = await Promise.all([pipe([]), pipe([CONTENT], true)]);
    expect(nothing).toMatchObject({ code: 2, errors: expect.stringContaining('CAPTURE_EMPTY') });
    expect(closed).toMatchObject({ code: 3, errors: expect.stringContaining('CAPTURE_OUTPUT_CLOSED') });
  });
});
