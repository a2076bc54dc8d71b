import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { Bytes, pcap, type TestRecord, temporaryFolder } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();
const frame = (length: number, fill = 0xaa): Uint8Array => new Uint8Array(length).fill(fill);
const RECORDS: readonly TestRecord[] = [
  { seconds: 1_700_000_000, fraction: 123_456, frame: frame(60) },
  { seconds: 1_700_000_001, fraction: 999_999, frame: frame(0), wireLength: 1500 },
  { seconds: 0xffffffff, fraction: 0, frame: frame(61), wireLength: 20 },
];

describe('classic pcap', () => {
  it.each([
    { name: 'microseconds, little-endian', bigEndian: false, magic: 0xa1b2c3d4, unit: 1000 },
    { name: 'microseconds, big-endian', bigEndian: true, magic: 0xa1b2c3d4, unit: 1000 },
    { name: 'nanoseconds, little-endian', bigEndian: false, magic: 0xa1b23c4d, unit: 1 },
    { name: 'nanoseconds, big-endian', bigEndian: true, magic: 0xa1b23c4d, unit: 1 },
    { name: 'modified (Kuznetzov), little-endian', bigEndian: false, magic: 0xa1b2cd34, unit: 1000 },
    { name: 'modified (Kuznetzov), big-endian', bigEndian: true, magic: 0xa1b2cd34, unit: 1000 },
  ])('$name: reads the columns and writes the same bytes', async ({ bigEndian, magic, unit }) => {
    const content = pcap(RECORDS, { bigEndian, magic, linkType: 101 });
    const path = file(`${magic}-${bigEndian}.pcap`, content);
    const { records, reader, error } = await readAll(path);
    expect(error).toBeUndefined();
    expect(reader.interfaces).toMatchObject([{ linkType: 101, snaplen: 65535 }]);
    expect(records).toEqual(
      RECORDS.map((record) => ({
        seconds: record.seconds,
        nanoseconds: record.fraction * unit,
        wireLength: record.wireLength ?? record.frame.length,
        source: 0,
        direction: magic === 0xa1b2cd34 ? 2 : 0,
        frame: Buffer.from(record.frame).toString('hex'),
      })),
    );
    const out = file('copy.pcap');
    await copy(path, out);
    expect(file.read(out).equals(content)).toBe(true);
  });

  it('keeps the word with the link type as it is', async () => {
    const content = pcap(RECORDS, { linkType: 0x00120001 });
    const path = file('bits.pcap', content);
    expect((await readAll(path)).reader.interfaces[0]?.linkType).toBe(1);
    await copy(path, file('bits-copy.pcap'));
    expect(file.read(file('bits-copy.pcap')).equals(content)).toBe(true);
  });

  it('reads frames without the check sequence that the header states, and writes a header that states none', async () => {
    const withCheck = [
      { seconds: 1, fraction: 2, frame: Buffer.concat([frame(1), Buffer.from('c0ffee00', 'hex')]) },
      // Cut by the snaplen before the check sequence, and in the middle of it.
      { seconds: 2, fraction: 2, frame: frame(2), wireLength: frame(2).length + 104 },
      {
        seconds: 3,
        fraction: 2,
        frame: Buffer.concat([frame(3), Buffer.from('c0', 'hex')]),
        wireLength: frame(3).length + 4,
      },
    ];
    const without = [
      { seconds: 1, fraction: 2, frame: frame(1) },
      { seconds: 2, fraction: 2, frame: frame(2), wireLength: frame(2).length + 100 },
      { seconds: 3, fraction: 2, frame: frame(3) },
    ];
    for (const bigEndian of [false, true]) {
      const path = file('fcs.pcap', pcap(withCheck, { linkType: 0x24000001, bigEndian }));
      await copy(path, file('fcs-copy.pcap'));
      expect(file.read(file('fcs-copy.pcap')).equals(pcap(without, { bigEndian }))).toBe(true);
    }
  });

  it('accepts frames longer than the snaplen of the header', async () => {
    const { records } = await readAll(file('snap.pcap', pcap(RECORDS, { snaplen: 10 })));
    expect(records).toHaveLength(3);
  });

  it('carries a fraction of a second or more over to the seconds', async () => {
    const { records } = await readAll(file('over.pcap', pcap([{ seconds: 5, fraction: 2_500_000, frame: frame(1) }])));
    expect(records[0]).toMatchObject({ seconds: 7, nanoseconds: 500_000_000 });
  });

  it('reads files older than version 2.3, whose lengths are the other way round', async () => {
    const bytes = new Bytes(false).u32(0xa1b2c3d4).u16(2).u16(2).u32(0).u32(0).u32(65535).u32(1);
    bytes.u32(1).u32(2).u32(1500).u32(4).u8(1, 2, 3, 4);
    const { records } = await readAll(file('old.pcap', bytes.done()));
    expect(records).toMatchObject([{ wireLength: 1500, frame: '01020304' }]);
  });

  it('reads a header without records', async () => {
    const { records, error } = await readAll(file('none.pcap', pcap([])));
    expect(records).toEqual([]);
    expect(error).toBeUndefined();
  });

  it('stops at a captured length beyond any bound, after the records before', async () => {
    const good = pcap(RECORDS);
    const bad = new Bytes(false).u32(1).u32(2).u32(0x7fffffff).u32(60).done();
    const { records, error } = await readAll(file('huge.pcap', Buffer.concat([good, bad])));
    expect(records).toHaveLength(3);
    expect(error).toBeInstanceOf(NatreplayError);
    expect(error).toMatchObject({ code: 'CAPTURE_BAD_LENGTH', place: { offset: good.length }, exitCode: 2 });
  });

  it.each([
    { linkType: 1, bound: 262_144 },
    { linkType: 189, bound: 1024 * 1024 },
    { linkType: 279, bound: 8 * 1024 * 1024 },
  ])(
    'takes frames of up to $bound bytes for link type $linkType, in slabs smaller than that',
    async ({ linkType, bound }) => {
      const bytes = Buffer.alloc(24 + 16 + bound);
      pcap([], { linkType }).copy(bytes);
      bytes.writeUInt32LE(bound, 32);
      const path = file('long.pcap', bytes);
      const { records, error } = await readAll(path);
      expect(error).toBeUndefined();
      expect(records[0]?.frame).toHaveLength(2 * bound);
      bytes.writeUInt32LE(bound + 1, 32);
      expect((await readAll(file('longer.pcap', bytes))).error).toMatchObject({ code: 'CAPTURE_BAD_LENGTH' });
    },
  );

  it('cut at any byte: gives the whole records before the cut, and says where it is', async () => {
    const content = pcap(RECORDS);
    const boundaries = [24, 24 + 76, 24 + 76 + 16, content.length];
    for (let cut = 0; cut < content.length; cut++) {
      const path = file('cut.pcap', content.subarray(0, cut));
      if (cut < 24) {
        await expect(readAll(path)).rejects.toBeInstanceOf(NatreplayError);
        continue;
      }
      const { records, warnings, error } = await readAll(path);
      const whole = boundaries.filter((boundary) => boundary <= cut);
      expect(error).toBeUndefined();
      expect(records).toHaveLength(whole.length - 1);
      const expected = whole.at(-1) === cut ? [] : [{ code: 'CAPTURE_TRUNCATED', offset: whole.at(-1) }];
      expect(warnings).toMatchObject(expected);
    }
  });

  it('reads the same whatever the size of the slabs', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ seconds: i, fraction: i, frame: frame((i * 37) % 200, i) }));
    const path = file('many.pcap', pcap(many));
    const large = await readAll(path, 1 << 20);
    expect(large.records).toHaveLength(3000);
    expect((await readAll(path, 65_536)).records).toEqual(large.records);
    await copy(path, file('many-copy.pcap'), { size: 65_536 });
    expect(file.read(file('many-copy.pcap')).equals(file.read(path))).toBe(true);
  });
});
