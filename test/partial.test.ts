/** An output has one writer: what two runs do to each other when they are told to write the same file. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSink } from '../src/capture/write/sink.js';
import { openTextSink } from '../src/report/files.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'natreplay-partial-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => join(folder, name);
const read = (name: string): string => readFileSync(at(name), 'utf8');

const openCaptureFile = async (path: string) => {
  const sink = await openSink(path);
  return { write: (text: string) => sink.write([Buffer.from(text)]), close: () => sink.close() };
};
const openText = async (path: string) => {
  const sink = await openTextSink(path);
  return { write: async (text: string) => sink.write(text), close: () => sink.close() };
};

describe.each([
  ['a capture', openCaptureFile],
  ['a text', openText],
])('%s that two runs write at once', (_what, open) => {
  it('is the one of the run that began last, whole; the other is told', async () => {
    const first = await open(at('out'));
    await first.write('first, which is longer, ');
    const second = await open(at('out'));
    await second.write('second');
    await first.write('and goes on');
    await expect(first.close()).rejects.toMatchObject({ code: 'OUTPUT_TAKEN', exitCode: 3 });
    expect(readdirSync(folder)).toEqual(['out.partial']);
    await second.close();
    expect(read('out')).toBe('second');
    expect(readdirSync(folder)).toEqual(['out']);
  });

  it('does not take the name of a run that has finished from it', async () => {
    const first = await open(at('out'));
    const second = await open(at('out'));
    await second.write('second');
    await second.close();
    await expect(first.close()).rejects.toMatchObject({ exitCode: 3 });
    expect(read('out')).toBe('second');
  });

  it('replaces what an earlier run left, and follows no link put in its place', async () => {
    writeFileSync(at('precious'), 'precious');
    symlinkSync(at('precious'), at('out.partial'));
    const run = await open(at('out'));
    await run.write('new');
    await run.close();
    expect([read('precious'), read('out')]).toEqual(['precious', 'new']);
  });
});
