/** Records whose frames are cut short before they are written: of padded packets only the packet goes on. */
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeCaptures, openCapture } from '../../../src/capture/index.js';
import { pcap, Section, type TestOption, type TestRecord, temporaryFolder, text } from '../build.js';
import { copy, NOT_WRITTEN, readAll } from '../read.js';

const file = temporaryFolder();
const frame = (length: number, fill = 1): Uint8Array => new Uint8Array(length).fill(fill);

interface Frame {
  readonly frame: Uint8Array;
  readonly wireLength?: number;
}

/** What is to be written of a frame cut to `length` bytes, the plain way. */
function cut<T extends Frame>(record: T, length: number | undefined): T & { readonly wireLength: number } {
  const { frame: bytes, wireLength = bytes.length } = record;
  if (length === undefined) return { ...record, wireLength };
  return { ...record, frame: bytes.slice(0, length), wireLength: Math.min(wireLength, length) };
}

const RECORDS: readonly TestRecord[] = Array.from({ length: 40 }, (_, i) => ({
  seconds: 1000 + i,
  fraction: i * 11,
  frame: frame(60 + (i % 7), i),
}));
const THIRDS = (i: number): number | undefined => (i % 3 === 0 ? 54 - (i % 5) : undefined);
const CUT = RECORDS.map((record, i) => cut(record, THIRDS(i)));

describe('pcap from pcap', () => {
  it.each([
    { name: 'none', length: (): undefined => undefined },
    { name: 'every third', length: THIRDS },
    { name: 'all', length: (): number => 54 },
    { name: 'the first', length: (i: number): number | undefined => (i === 0 ? 14 : undefined) },
    { name: 'the last, to nothing', length: (i: number): number | undefined => (i === 39 ? 0 : undefined) },
  ])('$name', async ({ length }) => {
    const path = file('in.pcap', pcap(RECORDS));
    await copy(path, file('out.pcap'), { length });
    expect(file.read(file('out.pcap')).equals(pcap(RECORDS.map((record, i) => cut(record, length(i)))))).toBe(true);
  });

  it.each([
    { name: 'big-endian', options: { bigEndian: true } },
    { name: 'nanoseconds', options: { magic: 0xa1b23c4d } },
    { name: 'the modified format, whose record headers are longer', options: { magic: 0xa1b2cd34 } },
    { name: 'before version 2.3, lengths the other way round', options: { minor: 2 } },
    { name: 'version 2.3, which may have them either way', options: { minor: 3 } },
  ])('$name', async ({ options }) => {
    await copy(file('in.pcap', pcap(RECORDS, options)), file('out.pcap'), { length: THIRDS });
    expect(file.read(file('out.pcap')).equals(pcap(CUT, options))).toBe(true);
  });

  it.each([
    { name: 'cut by the snaplen before the end of the packet: only its wire length shrinks', snap: 40, left: 40 },
    { name: 'cut by the snaplen within the padding', snap: 57, left: 54 },
  ])('$name', async ({ snap, left }) => {
    for (const minor of [3, 4]) {
      const record = { seconds: 1, fraction: 2, frame: frame(snap), wireLength: 60 };
      const written = { ...record, frame: frame(left), wireLength: 54 };
      await copy(file('in.pcap', pcap([record], { minor })), file('out.pcap'), { length: () => 54 });
      expect(file.read(file('out.pcap')).equals(pcap([written], { minor }))).toBe(true);
    }
  });

  it('with the lengths swapped, as version 2.3 may have them', async () => {
    // A frame captured as 57 bytes of 60, the two numbers in the other order.
    const swap = (captured: Uint8Array, wire: number): Buffer => {
      const bytes = pcap([{ seconds: 1, fraction: 2, frame: captured, wireLength: wire }], { minor: 3 });
      bytes.writeUInt32LE(wire, 32);
      bytes.writeUInt32LE(captured.length, 36);
      return bytes;
    };
    await copy(file('in.pcap', swap(frame(57), 60)), file('out.pcap'), { length: (i) => (i === 0 ? 54 : undefined) });
    expect((await readAll(file('out.pcap'))).records).toMatchObject([{ wireLength: 54, frame: '01'.repeat(54) }]);
    await copy(file('in.pcap', swap(frame(40), 60)), file('out.pcap'), { length: () => 54 });
    expect(file.read(file('out.pcap')).equals(swap(frame(40), 54))).toBe(true);
  });

  it('beside records that are left out, compressed, in slabs one after the other', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => RECORDS[i % 40] as TestRecord);
    const dropped = (i: number): boolean => i % 4 === 1;
    await copy(file('in.pcap', pcap(many)), file('out.pcap.gz'), {
      length: THIRDS,
      output: (i) => (dropped(i) ? NOT_WRITTEN : 0),
    });
    const expected = pcap(many.map((record, i) => cut(record, THIRDS(i))).filter((_, i) => !dropped(i)));
    expect(gunzipSync(file.read(file('out.pcap.gz'))).equals(expected)).toBe(true);
  });
});

describe.each([{ bigEndian: false }, { bigEndian: true }])('pcapng from pcapng, big-endian: $bigEndian', (order) => {
  const s = new Section(order.bigEndian);
  const options = [text(1, 'a comment'), s.number32(2, 1), s.number64(4, 7n)];
  type Kind = 'enhanced' | 'obsolete' | 'simple';
  const block = (kind: Kind, bytes: Uint8Array, wire: number, own: readonly TestOption[]): Buffer =>
    kind === 'simple' ? s.simple(bytes, wire) : s[kind](0, 5n, bytes, own, wire);

  const CASES = [60, 61, 62, 63].flatMap((from) => [52, 53, 54, 55, 0].map((to) => ({ from, to })));
  it.each<{ kind: Kind; own: readonly TestOption[] }>([
    { kind: 'enhanced', own: [] },
    { kind: 'enhanced', own: options },
    { kind: 'obsolete', own: [] },
    { kind: 'obsolete', own: options },
    { kind: 'simple', own: [] },
  ])('$kind packet blocks of every length modulo 4, options $own.length', async ({ kind, own }) => {
    const blocks = (lengths: (c: (typeof CASES)[number]) => number): Buffer =>
      Buffer.concat([
        s.header(),
        s.iface(),
        ...CASES.flatMap((c) => [
          block(kind, frame(lengths(c), 0xab), lengths(c), own),
          s.names(),
          block(kind, frame(33), 33, own),
        ]),
        s.statistics(0),
      ]);
    await copy(
      file(
        'in.pcapng',
        blocks(({ from }) => from),
      ),
      file('out.pcapng'),
      { length: (i) => (i % 2 === 0 ? CASES[i / 2]?.to : undefined) },
    );
    expect(file.read(file('out.pcapng')).equals(blocks(({ to }) => to))).toBe(true);
  });

  it.each<{ kind: Kind }>([{ kind: 'enhanced' }, { kind: 'obsolete' }, { kind: 'simple' }])(
    '$kind packet blocks cut by the snaplen',
    async ({ kind }) => {
      const own = kind === 'simple' ? [] : options;
      const file1 = (snap: number, left: number, wire: number): Buffer =>
        Buffer.concat([s.header(), s.iface(1, [], snap), block(kind, frame(left), wire, own)]);
      await copy(file('in.pcapng', file1(40, 40, 60)), file('out.pcapng'), { length: () => 54 });
      expect(file.read(file('out.pcapng')).equals(file1(40, 40, 54))).toBe(true);
      await copy(file('in.pcapng', file1(58, 58, 60)), file('out.pcapng'), { length: () => 54 });
      expect(file.read(file('out.pcapng')).equals(file1(58, 54, 54))).toBe(true);
    },
  );

  it('a section that states its length no longer does', async () => {
    const body = Buffer.concat([s.iface(), s.enhanced(0, 1n, frame(60))]);
    await copy(file('in.pcapng', Buffer.concat([s.header(BigInt(body.length)), body])), file('out.pcapng'), {
      length: () => 54,
    });
    const expected = Buffer.concat([s.header(), s.iface(), s.enhanced(0, 1n, frame(54))]);
    expect(file.read(file('out.pcapng')).equals(expected)).toBe(true);
  });

  it('split by interface, every block in each file', async () => {
    const outputs = [{ name: 'eth0' }, { name: 'eth1' }];
    const content = (lengths: readonly number[]): Buffer =>
      Buffer.concat([
        s.header(),
        s.iface(1, [text(2, 'eth0')]),
        s.names(),
        ...lengths.map((length, i) => s.enhanced(0, BigInt(i), frame(length, i), options)),
        s.statistics(0),
      ]);
    await copy(file('in.pcapng', content([60, 61, 62, 63])), file('out-{iface}.pcapng'), {
      outputs,
      output: (i) => i % 2,
      length: (i) => (i < 3 ? 54 : undefined),
    });
    const eth0 = [s.enhanced(0, 0n, frame(54, 0), options), s.enhanced(0, 2n, frame(54, 2), options)];
    const expected = [s.header(), s.iface(1, [text(2, 'eth0')]), s.names(), ...eth0, s.statistics(0)];
    expect(file.read(file('out-eth0.pcapng')).equals(Buffer.concat(expected))).toBe(true);
    const { records } = await readAll(file('out-eth1.pcapng'));
    expect(records.map(({ wireLength }) => wireLength)).toEqual([54, 63]);
  });
});

describe('another format than the input', () => {
  it('pcap to pcapng and pcapng to pcap', async () => {
    const path = file('in.pcap', pcap(RECORDS));
    await copy(path, file('there.pcapng'), { length: THIRDS });
    await copy(file('there.pcapng'), file('back.pcap'));
    expect(file.read(file('back.pcap')).equals(pcap(CUT))).toBe(true);
    await copy(path, file('whole.pcapng'));
    await copy(file('whole.pcapng'), file('back.pcap'), { length: THIRDS });
    expect(file.read(file('back.pcap')).equals(pcap(CUT))).toBe(true);
  });

  it('several inputs merged', async () => {
    const inputs = [file('a.pcap', pcap(RECORDS.slice(0, 20))), file('b.pcap', pcap(RECORDS.slice(20)))];
    const readers = await Promise.all(inputs.map((path) => openCapture(path)));
    await copy(mergeCaptures(readers), file('merged.pcap'), { length: THIRDS });
    expect(file.read(file('merged.pcap')).equals(pcap(CUT))).toBe(true);
  });
});

/** Of a record: bytes captured, bytes beyond them on the wire, what it is cut to, whether it is written. */
const anyRecord = fc.record({
  length: fc.nat(70),
  beyond: fc.oneof(fc.constant(0), fc.nat(20)),
  to: fc.option(fc.nat(80), { nil: undefined }),
  written: fc.boolean(),
});
const anyRecords = fc.array(anyRecord, { maxLength: 25 });
const RUNS = { numRuns: 100, seed: 31 };

describe('any records cut to any lengths are those of a capture with such frames', () => {
  it('pcap', async () => {
    await fc.assert(
      fc.asyncProperty(anyRecords, fc.boolean(), async (list, bigEndian) => {
        const whole = list.map(({ length, beyond }, i) => ({
          seconds: i,
          fraction: i,
          frame: frame(length, i + 1),
          wireLength: length + beyond,
        }));
        const expected = whole.map((record, i) => cut(record, list[i]?.to)).filter((_, i) => list[i]?.written);
        await copy(file('any.pcap', pcap(whole, { bigEndian })), file('any-out.pcap'), {
          length: (i) => list[i]?.to,
          output: (i) => (list[i]?.written === true ? 0 : NOT_WRITTEN),
        });
        expect(file.read(file('any-out.pcap')).equals(pcap(expected, { bigEndian }))).toBe(true);
      }),
      RUNS,
    );
  });

  it('pcapng, with other blocks between', async () => {
    const kinds = fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { minLength: 25, maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(anyRecords, kinds, fc.boolean(), async (list, how, bigEndian) => {
        const s = new Section(bigEndian);
        const blocks = (result: boolean): Buffer =>
          Buffer.concat([
            s.header(),
            s.iface(),
            ...list.flatMap(({ length, beyond, to, written }, i) => {
              const [kind = 0, options = 0] = how[i] ?? [];
              const record = { frame: frame(length, i + 1), wireLength: length + (kind === 0 ? 0 : beyond) };
              const { frame: bytes, wireLength } = result ? cut(record, to) : record;
              const own = options === 0 ? [] : [text(1, 'c'.repeat(options)), s.number32(2, 2)];
              const made =
                kind === 0
                  ? s.simple(bytes, wireLength)
                  : s[kind === 1 ? 'obsolete' : 'enhanced'](0, BigInt(i), bytes, own, wireLength);
              const between = i % 3 === 0 ? [s.names()] : [];
              return result && !written ? between : [made, ...between];
            }),
          ]);
        await copy(file('any.pcapng', blocks(false)), file('any-out.pcapng'), {
          length: (i) => list[i]?.to,
          output: (i) => (list[i]?.written === true ? 0 : NOT_WRITTEN),
        });
        expect(file.read(file('any-out.pcapng')).equals(blocks(true))).toBe(true);
      }),
      RUNS,
    );
  });
});
