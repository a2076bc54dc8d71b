import { existsSync, linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  assertDistinct,
  createCaptureWriter,
  NOT_WRITTEN,
  type OutputInterface,
  openCapture,
  Slab,
} from '../../src/capture/index.js';
import { pcap, Section, temporaryFolder, text } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();
const s = new Section();
const frame = (length: number, fill = 1): Uint8Array => new Uint8Array(length).fill(fill);
const MICRO = Array.from({ length: 50 }, (_, i) => ({ seconds: 1000 + i, fraction: i * 11, frame: frame(20 + i, i) }));
const names = async (path: string): Promise<(string | undefined)[]> => {
  const { records, reader } = await readAll(path);
  return records.map(({ source }) => reader.interfaces[source]?.name);
};

describe('records left out', () => {
  it.each([
    { name: 'every other one', keep: (i: number): boolean => i % 2 === 0 },
    { name: 'all', keep: (): boolean => false },
    { name: 'none', keep: (): boolean => true },
    { name: 'the first and the last', keep: (i: number): boolean => i > 0 && i < 49 },
  ])('$name', async ({ keep }) => {
    const path = file('in.pcap', pcap(MICRO));
    await copy(path, file('out.pcap'), { output: (i) => (keep(i) ? 0 : NOT_WRITTEN) });
    expect(file.read(file('out.pcap')).equals(pcap(MICRO.filter((_, i) => keep(i))))).toBe(true);
  });
});

describe('interfaces of a pcapng output', () => {
  const outputs: OutputInterface[] = [{ name: 'eth1' }, { name: 'docker0' }, { name: undefined }, { name: 'eth0' }];
  const statistics = s.statistics(1);
  const content = Buffer.concat([
    s.header(),
    s.iface(1, [text(2, 'eth0')]),
    s.enhanced(0, 1n, frame(5), [text(1, 'kept')]),
    s.enhanced(0, 2n, frame(6)),
    s.iface(1, [text(2, 'eth1')]),
    s.enhanced(1, 3n, frame(7)),
    s.simple(frame(8)),
    s.obsolete(1, 4n, frame(9)),
    statistics,
  ]);

  it('are the ones the packets leave by, added before first use and numbered on', async () => {
    const path = file('names.pcapng', content);
    const to = [1, 2, 0, 1, 1];
    await copy(path, file('names-out.pcapng'), { outputs, output: (i) => to[i] ?? 0 });
    const expected = Buffer.concat([
      s.header(),
      s.iface(1, [text(2, 'eth0')]),
      s.iface(1, [text(2, 'docker0')]),
      s.enhanced(1, 1n, frame(5), [text(1, 'kept')]),
      s.enhanced(0, 2n, frame(6)),
      s.iface(1, [text(2, 'eth1')]),
      s.enhanced(2, 3n, frame(7)),
      s.simple(frame(8)),
      s.obsolete(1, 4n, frame(9)),
      s.statistics(2),
    ]);
    expect(file.read(file('names-out.pcapng')).equals(expected)).toBe(true);
  });

  it('are told apart by resolution: a description of the same name with another one is not used', async () => {
    const blocks = [
      s.header(),
      s.iface(1, [text(2, 'eth0'), { code: 9, value: Buffer.of(9) }]),
      s.iface(1, [text(2, 'eth1')]),
      s.enhanced(0, 5n, frame(5)),
    ];
    const path = file('resolutions.pcapng', Buffer.concat(blocks));
    await copy(path, file('resolutions-out.pcapng'), { outputs, output: () => 0 });
    const { records, reader } = await readAll(file('resolutions-out.pcapng'));
    expect(records).toMatchObject([{ source: 2, nanoseconds: 5 }]);
    expect(reader.interfaces[2]).toMatchObject({ name: 'eth1', tsresol: 9 });
  });

  it('may be appended to the list while writing', async () => {
    const path = file('grow.pcap', pcap(MICRO));
    const growing: OutputInterface[] = [];
    const used = (i: number): number => growing.push({ name: `veth${i % 3}` }) - 1;
    await copy(path, file('grow.pcapng'), { outputs: growing, output: used });
    expect((await names(file('grow.pcapng'))).slice(0, 4)).toEqual(['veth0', 'veth1', 'veth2', 'veth0']);
  });
});

describe('a stated section length', () => {
  const body = Buffer.concat([s.iface(1), s.enhanced(0, 1n, frame(5)), s.enhanced(0, 2n, frame(5))]);
  const content = Buffer.concat([s.header(BigInt(body.length)), body]);

  it('stays when it stays true', async () => {
    await copy(file('stated.pcapng', content), file('stated-out.pcapng'));
    expect(file.read(file('stated-out.pcapng')).equals(content)).toBe(true);
  });

  it('becomes unstated when a record is left out', async () => {
    await copy(file('stated.pcapng', content), file('stated-out.pcapng'), { output: (i) => i - 1 });
    const expected = Buffer.concat([s.header(), s.iface(1), s.enhanced(0, 2n, frame(5))]);
    expect(file.read(file('stated-out.pcapng')).equals(expected)).toBe(true);
  });
});

describe('another format than the input', () => {
  it.each([
    { resolution: '1/64 s', tsresol: 0x86, units: 107n, seconds: 1, nanoseconds: 671_875_000 },
    { resolution: '1/512 s', tsresol: 0x89, units: 513n, seconds: 1, nanoseconds: 1_953_125 },
    { resolution: '1/1024 s', tsresol: 0x8a, units: 1025n, seconds: 1, nanoseconds: 976_562 },
  ])('pcap keeps times counted in $resolution, to the nanosecond', async ({ tsresol, units, seconds, nanoseconds }) => {
    const blocks = [s.header(), s.iface(1, [{ code: 9, value: Buffer.of(tsresol) }]), s.enhanced(0, units, frame(5))];
    const path = file('powers-of-two.pcapng', Buffer.concat(blocks));
    await copy(path, file('powers-of-two.pcap'));
    expect((await readAll(file('powers-of-two.pcap'))).records).toMatchObject([{ seconds, nanoseconds }]);
  });

  it.each([{ magic: 0xa1b2c3d4 }, { magic: 0xa1b23c4d }])('pcap $magic to pcapng and back', async ({ magic }) => {
    for (const bigEndian of [false, true]) {
      const path = file('there.pcap', pcap(MICRO, { magic, bigEndian }));
      await copy(path, file('there.pcapng'));
      await copy(file('there.pcapng'), file('back.pcap'));
      expect(file.read(file('back.pcap')).equals(pcap(MICRO, { magic }))).toBe(true);
    }
  });

  it('refuses several link types in a pcap file', async () => {
    const blocks = [s.header(), s.iface(1), s.iface(101), s.enhanced(0, 1n, frame(5)), s.enhanced(1, 1n, frame(5))];
    const path = file('types.pcapng', Buffer.concat(blocks));
    await expect(copy(path, file('types.pcap'))).rejects.toMatchObject({
      code: 'CAPTURE_SEVERAL_LINK_TYPES',
      message: expect.stringMatching(/EN10MB and RAW.*\.pcapng/),
    });
    expect(existsSync(file('types.pcap'))).toBe(false);
  });

  it('follows the ending; without a known one the format stays', async () => {
    const path = file('ending.pcap', pcap(MICRO));
    await copy(path, file('ending'));
    expect(file.read(file('ending')).equals(pcap(MICRO))).toBe(true);
    await copy(path, file('ending.NTAR'));
    expect(file.read(file('ending.NTAR')).readUInt32BE(0)).toBe(0x0a0d0d0a);
  });
});

describe('one file per interface', () => {
  it('opens a file with its first record, safe names, every block in each', async () => {
    const outputs = [{ name: 'eth0' }, { name: 'a/b' }, { name: undefined }, { name: 'a_b' }, { name: 'eth0' }];
    const content = Buffer.concat([
      s.header(),
      s.iface(1, [text(2, 'eth0')]),
      s.names(),
      ...Array.from({ length: 10 }, (_, i) => s.enhanced(0, BigInt(i), frame(5, i))),
    ]);
    const to = [0, 1, 2, 3, 4, NOT_WRITTEN];
    const files = await copy(file('split.pcapng', content), file('split-{iface}.pcapng'), {
      outputs,
      output: (i) => to[i] ?? 0,
    });
    expect(files).toMatchObject([
      { path: file('split-eth0.pcapng'), iface: 'eth0', records: 6 },
      { path: file('split-a_b.pcapng'), iface: 'a/b', records: 1 },
      { path: file('split-unknown.pcapng'), iface: undefined, records: 1 },
      { path: file('split-a_b-2.pcapng'), iface: 'a_b', records: 1 },
    ]);
    const expected = [s.header(), s.iface(1, [text(2, 'eth0')]), s.names(), s.enhanced(0, 2n, frame(5, 2))];
    expect(file.read(file('split-unknown.pcapng')).equals(Buffer.concat(expected))).toBe(true);
    expect(await names(file('split-a_b.pcapng'))).toEqual(['a/b']);
  });
});

describe('records from elsewhere', () => {
  it.each(['pcap', 'pcapng'])('stand at their place in %s', async (format) => {
    const reader = await openCapture(file('extras.pcap', pcap(MICRO.slice(0, 3))));
    const path = file(`extras-out.${format}`);
    const writer = await createCaptureWriter(path, { source: reader, outputs: [{ name: 'eth0' }] });
    const slab = new Slab(65_536);
    await reader.next(slab);
    const extra = { output: 0, source: 0, seconds: 7, nanoseconds: 8000, wireLength: 99, frame: frame(3, 0xee) };
    await writer.write(slab, Int32Array.of(0, NOT_WRITTEN, 0), [
      { ...extra, after: -1 },
      { ...extra, after: 1 },
      { ...extra, after: 2, output: NOT_WRITTEN },
      { ...extra, after: 2 },
    ]);
    await writer.close();
    await reader.close();
    const { records } = await readAll(path);
    expect(records.map(({ seconds }) => seconds)).toEqual([7, 1000, 7, 1002, 7]);
    expect(records[2]).toMatchObject({ nanoseconds: 8000, wireLength: 99, frame: 'eeeeee' });
    expect(writer.files).toMatchObject([{ records: 5, bytes: file.read(path).length }]);
  });
});

describe('the file itself', () => {
  it('gets its name when it is whole; what was written of one that is not stays beside', async () => {
    const reader = await openCapture(file('whole.pcap', pcap(MICRO)));
    const path = file('aborted.pcap');
    const writer = await createCaptureWriter(path, { source: reader, outputs: [] });
    const slab = new Slab(65_536);
    await reader.next(slab);
    await writer.write(slab, new Int32Array(50));
    expect(existsSync(path)).toBe(false);
    await writer.abort();
    await reader.close();
    expect(existsSync(path)).toBe(false);
    expect((await readAll(`${path}.partial`)).records).toHaveLength(50);
  });

  it.each([
    { name: 'a missing folder', target: 'nowhere/out.pcap', code: 'CAPTURE_OUTPUT_NO_FOLDER' },
    { name: 'a folder', target: 'folder', code: 'CAPTURE_OUTPUT_IS_DIRECTORY' },
  ])('$name is refused', async ({ target, code }) => {
    mkdirSync(file('folder'), { recursive: true });
    const path = file('plain.pcap', pcap(MICRO));
    await expect(copy(path, file(target))).rejects.toMatchObject({ code, exitCode: 2 });
  });

  it('a device is written as it is', async () => {
    await copy(file('plain.pcap', pcap(MICRO)), '/dev/null');
    expect(existsSync('/dev/null.partial')).toBe(false);
  });

  it.skipIf(!existsSync('/dev/full'))('a full disk is an error of the run', async () => {
    const path = file('plain.pcap', pcap(MICRO));
    // A device has nothing beside it.
    const message = '/dev/full: the disk is full; make room';
    const expected = { code: 'CAPTURE_OUTPUT_DISK_FULL', exitCode: 3, message };
    await expect(copy(path, '/dev/full')).rejects.toMatchObject(expected);
  });

  it('is none of the inputs, by no name', async () => {
    const path = file('input.pcap', pcap(MICRO));
    symlinkSync(path, file('symbolic.pcap'));
    linkSync(path, file('hard.pcap'));
    for (const output of [path, file('symbolic.pcap'), file('hard.pcap')]) {
      await expect(assertDistinct([path], output)).rejects.toMatchObject({ code: 'CAPTURE_OUTPUT_IS_INPUT' });
    }
    await expect(assertDistinct([file('input.pcap.partial', pcap(MICRO))], path)).rejects.toMatchObject({
      exitCode: 2,
    });
    await assertDistinct([path, '-'], file('other.pcap'));
    await assertDistinct(['-'], '-');
  });
});
