import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { needs } from '../support/requirements.js';
import { pcap, Section, temporaryFolder } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();
const RECORDS = Array.from({ length: 5000 }, (_, i) => ({
  seconds: 1_700_000_000 + i,
  fraction: (i * 7919) % 1_000_000,
  frame: Uint8Array.from({ length: 60 + (i % 40) }, (_, k) => (i * 31 + k * k * 7) & 0xff),
}));
const CONTENT = pcap(RECORDS);

describe('what is not a capture', () => {
  it.each([
    { name: 'an empty file', content: Buffer.alloc(0), code: 'CAPTURE_EMPTY', says: /empty/ },
    {
      name: 'text',
      content: Buffer.from('*nat\n:PREROUTING ACCEPT\n'),
      code: 'CAPTURE_UNKNOWN_FORMAT',
      says: /text.*\*nat/,
    },
    {
      name: 'snoop',
      content: Buffer.from('snoop\0\0\0\0\0\0\u0002\0\0\0\u0004'),
      code: 'CAPTURE_UNKNOWN_FORMAT',
      says: /snoop.*editcap/,
    },
    {
      name: 'xz',
      content: Buffer.from('fd377a585a000004', 'hex'),
      code: 'CAPTURE_UNKNOWN_FORMAT',
      says: /xz data.*unxz/,
    },
    {
      name: 'gzip in gzip',
      content: gzipSync(gzipSync(CONTENT)),
      code: 'CAPTURE_UNKNOWN_FORMAT',
      says: /gzip data inside/,
    },
    { name: 'zeros', content: Buffer.alloc(100), code: 'CAPTURE_UNKNOWN_FORMAT', says: /00 00 00 00/ },
    { name: 'a cut header', content: CONTENT.subarray(0, 20), code: 'CAPTURE_TOO_SHORT', says: /20 bytes/ },
    {
      name: 'an ERF record',
      content: Buffer.from('00000000000000000200005000000040', 'hex'),
      code: 'CAPTURE_UNKNOWN_FORMAT',
      says: /ERF/,
    },
  ])('$name: one line says what it is', async ({ content, code, says }) => {
    const path = file('other', content);
    const error = await readAll(path).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NatreplayError);
    expect(error).toMatchObject({ code, exitCode: 2, message: expect.stringMatching(says) });
    expect(String(error)).not.toContain('\n');
  });

  it('a missing file, a folder', async () => {
    mkdirSync(file('folder'));
    await expect(readAll(file('missing.pcap'))).rejects.toMatchObject({ code: 'CAPTURE_NOT_FOUND', exitCode: 2 });
    await expect(readAll(file('folder'))).rejects.toMatchObject({ code: 'CAPTURE_IS_DIRECTORY', exitCode: 2 });
  });
});

describe('gzip', () => {
  const whole = gzipSync(CONTENT);

  it('is told by content, not by name, and written when the name says so', async () => {
    const path = file('gzipped', whole);
    await copy(path, file('plain.pcap'));
    expect(file.read(file('plain.pcap')).equals(CONTENT)).toBe(true);
    await copy(path, file('again.pcap.gz'));
    expect(gunzipSync(file.read(file('again.pcap.gz'))).equals(CONTENT)).toBe(true);
  });

  it('may have several members', async () => {
    const members = [gzipSync(CONTENT.subarray(0, 1000)), gzipSync(CONTENT.subarray(1000))];
    expect((await readAll(file('members.gz', Buffer.concat(members)))).records).toHaveLength(5000);
  });

  it('cut short: what is before the cut, and a warning even at the end of a record', async () => {
    const { records, warnings } = await readAll(file('cut.gz', whole.subarray(0, whole.length >> 1)));
    expect(records.length).toBeGreaterThan(1000);
    expect(warnings).toMatchObject([{ code: 'CAPTURE_TRUNCATED', message: expect.stringContaining('gzip') }]);
    const noTrailer = await readAll(file('cut.gz', whole.subarray(0, whole.length - 4)));
    expect(noTrailer.records).toHaveLength(5000);
    expect(noTrailer.warnings).toHaveLength(1);
  });

  it('damaged: an error', async () => {
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, whole.length >> 1, (whole.length >> 1) + 100);
    const { error } = await readAll(file('damaged.gz', damaged));
    expect(error).toMatchObject({ code: 'CAPTURE_COMPRESSED_DAMAGED', exitCode: 2 });
  });

  it('of an empty file is an empty capture', async () => {
    await expect(readAll(file('nothing.gz', gzipSync('')))).rejects.toMatchObject({ code: 'CAPTURE_EMPTY' });
    const cut = gzipSync(CONTENT).subarray(0, 12);
    await expect(readAll(file('cut.gz', cut))).rejects.toMatchObject({
      code: 'CAPTURE_EMPTY',
      message: expect.stringContaining('the gzip data ends before its end mark'),
    });
  });
});

describe('zstd', () => {
  it('is written by name and read by content, several frames too', async () => {
    await copy(file('in.pcap', CONTENT), file('out.pcap.zst'));
    const compressed = file.read(file('out.pcap.zst'));
    expect(compressed.readUInt32LE(0)).toBe(0xfd2fb528);
    await copy(file('renamed', compressed), file('out.pcap'));
    expect(file.read(file('out.pcap')).equals(CONTENT)).toBe(true);

    await copy(file('none.pcap', pcap([])), file('none.zst'));
    const skippable = Buffer.from('502a4d1803000000aabbcc', 'hex');
    const frames = Buffer.concat([skippable, file.read(file('none.zst')), file.read(file('none.zst'))]);
    const { records, warnings } = await readAll(file('frames.zst', frames));
    // The second frame is another file's header: after the first it reads as a record of 16 bytes, and 8 bytes more.
    expect(records).toHaveLength(1);
    expect(warnings).toMatchObject([{ code: 'CAPTURE_TRUNCATED', offset: 40 }]);
  });

  it('cut short: what is before the cut, and a warning', async () => {
    const compressed = file.read(file('out.pcap.zst'));
    const { records, warnings, error } = await readAll(file('cut.zst', compressed.subarray(0, compressed.length - 5)));
    expect(error).toBeUndefined();
    expect(records.length).toBeGreaterThan(0);
    expect(warnings).toMatchObject([{ code: 'CAPTURE_TRUNCATED', message: expect.stringContaining('zstd') }]);
  });

  const zstd = needs({ commands: ['zstd'] });
  it.skipIf(zstd.skip)(`what zstd writes is read, and the other way round ${zstd.reason}`, async () => {
    const compressed = spawnSync('zstd', ['-c', '--ultra', '-19'], { input: CONTENT, maxBuffer: 1 << 26 }).stdout;
    expect((await readAll(file('theirs.zst', compressed))).records).toHaveLength(5000);
    const plain = spawnSync('zstd', ['-dc', file('out.pcap.zst')], { maxBuffer: 1 << 26 }).stdout;
    expect(plain.equals(CONTENT)).toBe(true);
  });
});

describe('compressed pcapng', () => {
  it('has no stated section length when blocks can change it', async () => {
    const s = new Section();
    const body = Buffer.concat([s.iface(1), s.enhanced(0, 1n, new Uint8Array(4))]);
    const path = file('stated.pcapng', Buffer.concat([s.header(BigInt(body.length)), body]));
    await copy(path, file('stated.pcapng.gz'));
    const expected = Buffer.concat([s.header(), body]);
    expect(gunzipSync(file.read(file('stated.pcapng.gz'))).equals(expected)).toBe(true);
  });
});

describe('reads that are abandoned', () => {
  it.skipIf(spawnSync('mkfifo', ['--version']).status !== 0)('fail at once, though nothing comes', async () => {
    // What is abandoned stays so for the process: this is a copy of the module.
    vi.resetModules();
    const { abandonReads, openSource: open } = await import('../../src/capture/source.js');
    const pipe = file('pipe');
    spawnSync('mkfifo', [pipe]);
    const writer = openSync(pipe, 'r+');
    try {
      const source = await open(pipe);
      const waiting = source.read(new Uint8Array(10), 0, 10);
      const reason = new Error('stopped');
      abandonReads(reason);
      await expect(waiting).rejects.toBe(reason);
      await expect(source.read(new Uint8Array(10), 0, 10)).rejects.toBe(reason);
      await expect(open(pipe)).rejects.toBe(reason);
      await source.close();
    } finally {
      // Lets the thread that still waits go.
      writeSync(writer, 'natreplay!');
      closeSync(writer);
      // Nobody else shall have that copy.
      vi.resetModules();
    }
  });
});
