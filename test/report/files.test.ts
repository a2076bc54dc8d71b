import { execFile } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { openTextSink, StreamDestination, TextSink, writeTextFile } from '../../src/report/files.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'natreplay-files-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => join(folder, name);
const read = (name: string): string => readFileSync(at(name), 'utf8');

describe('writing a text', () => {
  it('writes strings and bytes in order and says how many bytes', async () => {
    expect(await writeTextFile(at('a.txt'), ['häuser\n', Buffer.from('b')])).toBe(9);
    expect(read('a.txt')).toBe('häuser\nb');
    expect(existsSync(at('a.txt.partial'))).toBe(false);
  });

  it('takes one string, or chunks that come later', async () => {
    await writeTextFile(at('a'), 'whole');
    await writeTextFile(
      at('b'),
      (async function* () {
        yield 'la';
        yield 'ter';
      })(),
    );
    expect([read('a'), read('b')]).toEqual(['whole', 'later']);
  });

  it('leaves an older file alone until the new one is complete', async () => {
    writeFileSync(at('a'), 'old');
    const sink = await openTextSink(at('a'));
    await sink.write('new');
    expect(read('a')).toBe('old');
    await sink.close();
    expect(read('a')).toBe('new');
  });

  it('leaves NAME.partial and no NAME when the source of the text fails', async () => {
    const failing = (function* () {
      yield 'half';
      throw new Error('source');
    })();
    await expect(writeTextFile(at('a'), failing)).rejects.toThrow('source');
    expect(existsSync(at('a'))).toBe(false);
    expect(read('a.partial')).toBe('half');
  });

  it('follows a symbolic link instead of replacing it', async () => {
    mkdirSync(at('real'));
    writeFileSync(at('real/file'), 'old');
    symlinkSync(at('real/file'), at('link'));
    await writeTextFile(at('link'), 'new');
    expect(read('real/file')).toBe('new');
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  });

  it('writes to a device as it is', async () => {
    await writeTextFile('/dev/null', 'gone');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });
});

describe('a sink', () => {
  it('asks to wait only when much is waiting, and keeps the order', async () => {
    const sink = await openTextSink(at('log'));
    expect(sink.write('small\n')).toBeUndefined();
    const large = Buffer.alloc(5 * 1024 * 1024, 'x');
    expect(sink.write(large)).toBeInstanceOf(Promise);
    expect(sink.write('end\n')).toBeInstanceOf(Promise);
    await sink.close();
    expect(sink.bytes).toBe(6 + large.length + 4);
    const text = read('log');
    expect([text.slice(0, 7), text.slice(-5), text.length]).toEqual(['small\nx', 'xend\n', sink.bytes]);
  });

  it('aborted leaves what was written as NAME.partial', async () => {
    const sink = await openTextSink(at('log'));
    await sink.write('half a li');
    await sink.abort();
    await sink.abort();
    await sink.close();
    expect(existsSync(at('log'))).toBe(false);
    expect(read('log.partial')).toBe('half a li');
  });
});

describe('paths that can not be written to: exit code 2', () => {
  test.each([
    ['in a folder that is not there', 'no/such/file', 'OUTPUT_NO_FOLDER', /no\/such does not exist; create it first/],
    ['below a file', 'file/x', 'OUTPUT_NO_FOLDER', /does not exist/],
    ['that are folders', 'folder', 'OUTPUT_IS_FOLDER', /is a folder; name a file in it/],
    ['with a name too long', 'x'.repeat(300), 'OUTPUT_NAME_TOO_LONG', /too long/],
  ])('%s', async (_, name, code, message) => {
    writeFileSync(at('file'), '');
    mkdirSync(at('folder'));
    const failure = openTextSink(at(name));
    await expect(failure).rejects.toMatchObject({ code, exitCode: 2, place: { file: at(name) } });
    await expect(failure).rejects.toThrow(message);
  });
});

describe('what fails while writing: exit code 3', () => {
  it.skipIf(!existsSync('/dev/full'))('a full disk', async () => {
    const failure = writeTextFile('/dev/full', ['a', 'b']);
    await expect(failure).rejects.toMatchObject({ code: 'OUTPUT_DISK_FULL', exitCode: 3 });
    await expect(failure).rejects.toThrow('/dev/full: the disk is full; make room and run again');
  });

  it('a reader that went away', async () => {
    const stream = new Writable({
      write: (_, __, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    });
    const sink = new TextSink('-', new StreamDestination(stream));
    sink.write('x');
    await expect(sink.close()).rejects.toMatchObject({ code: 'OUTPUT_CLOSED', exitCode: 3 });
  });

  it('is told once more by the next write', async () => {
    const sink = await openTextSink('/dev/full');
    sink.write('x');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(() => sink.write('y')).toThrow(/full/);
    await sink.abort();
  });
});

describe('standard output', () => {
  it('is a stream that stays open', async () => {
    const stream = new PassThrough();
    const sink = new TextSink('-', new StreamDestination(stream));
    sink.write('one\n');
    sink.write('two\n');
    await sink.close();
    expect(stream.read().toString()).toBe('one\ntwo\n');
    expect(stream.writableEnded).toBe(false);
  });

  it('closed early by the next program in the pipe is an error of ours, not a crash', async () => {
    const script = `
      import { writeTextFile } from './src/report/files.ts';
      const lines = function* () { for (let i = 0; i < 1e5; i++) yield 'line ' + i + '\\n'; };
      await writeTextFile('-', lines()).catch((error) => console.error(error.code, error.exitCode));
    `;
    const command = `node --import tsx --input-type=module -e "$SCRIPT" | head -n 1`;
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command], {
      env: { ...process.env, SCRIPT: script },
    });
    expect(stdout).toBe('line 0\n');
    expect(stderr).toContain('OUTPUT_CLOSED 3');
  });
});
