import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeCaptures, openCapture } from '../../src/capture/index.js';
import { pcap, Section, type TestRecord, temporaryFolder, text } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();

/** Merging by the words of its contract, a record at a time. */
function naiveMerge(inputs: readonly (readonly TestRecord[])[]): (TestRecord & { input: number })[] {
  const queues = inputs.map((records, input) => records.map((record) => ({ ...record, input })));
  const merged: (TestRecord & { input: number })[] = [];
  for (;;) {
    const heads = queues.flatMap((queue) => queue.slice(0, 1));
    const [first] = heads.sort((a, b) => a.seconds - b.seconds || a.fraction - b.fraction || a.input - b.input);
    if (first === undefined) return merged;
    queues[first.input]?.shift();
    merged.push(first);
  }
}

const record = fc.record({
  seconds: fc.integer({ min: 0, max: 5 }),
  fraction: fc.integer({ min: 0, max: 3 }),
  frame: fc.uint8Array({ maxLength: 40 }),
});

describe('merging', () => {
  it('is by time, stable, and never changes the order of one input', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(record, { maxLength: 12 }), { minLength: 2, maxLength: 4 }),
        fc.boolean(),
        async (inputs, mixed) => {
          const readers = inputs.map((records, i) =>
            openCapture(file(`m${i}.pcap`, pcap(records, { magic: mixed && i === 1 ? 0xa1b23c4d : 0xa1b2c3d4 }))),
          );
          if (mixed) inputs[1]?.sort((a, b) => a.seconds - b.seconds);
          const merged = mergeCaptures(await Promise.all(readers));
          const { records, error } = await readAll(merged);
          expect(error).toBeUndefined();
          if (mixed) {
            expect(records).toHaveLength(inputs.flat().length);
            return;
          }
          expect(
            records.map(({ seconds, nanoseconds, source, frame }) => [seconds, nanoseconds, source, frame]),
          ).toEqual(
            naiveMerge(inputs).map(({ seconds, fraction, input, frame }) => [
              seconds,
              fraction * 1000,
              input,
              Buffer.from(frame).toString('hex'),
            ]),
          );
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it('of one kind of pcap stays that kind, with the larger snaplen', async () => {
    const a = { seconds: 1, fraction: 0, frame: new Uint8Array(3).fill(1) };
    const b = { seconds: 2, fraction: 0, frame: new Uint8Array(4).fill(2) };
    const first = file('a.pcap', pcap([b], { bigEndian: true, snaplen: 100 }));
    const second = file('b.pcap', pcap([a], { bigEndian: true, snaplen: 200 }));
    await copy(mergeCaptures([await openCapture(first), await openCapture(second)]), file('ab.pcap'));
    expect(file.read(file('ab.pcap')).equals(pcap([a, b], { bigEndian: true, snaplen: 200 }))).toBe(true);
  });

  it.each([{ bigEndian: false }, { bigEndian: true }])(
    'of pcapng (big-endian: $bigEndian) and pcap keeps options, comments, names and statistics',
    async ({ bigEndian }) => {
      const s = new Section(bigEndian);
      const little = new Section();
      const options = (of: Section): { code: number; value: Uint8Array }[] => [
        text(1, 'seen'),
        of.number32(2, 1),
        of.number64(4, 5n),
        { code: 2988, value: of.bytes().u32(32473).raw(Buffer.from('x')).done() },
      ];
      const frame = Buffer.from('0102030405', 'hex');
      const content = Buffer.concat([
        s.header(),
        s.iface(1, [text(2, 'eth0'), s.number64(14, 3n), { code: 9, value: Buffer.of(9) }], 77),
        s.names(),
        s.enhanced(0, 1_000_000_001n, frame, options(s)),
        s.simple(frame),
        s.obsolete(0, 2_000_000_000n, frame, [s.number32(2, 2)]),
        s.statistics(0),
      ]);
      const plain = file('plain.pcap', pcap([{ seconds: 4, fraction: 5, frame }], { linkType: 101 }));
      const readers = [openCapture(plain, { assignedName: 'tun0' }), openCapture(file('with.pcapng', content))];
      const merged = mergeCaptures(await Promise.all(readers));
      expect(merged.format).toBe('pcap');
      await copy(merged, file('both.pcapng'));
      expect(merged.interfaces).toMatchObject([
        { linkType: 101, assignedName: 'tun0', name: undefined },
        { linkType: 1, name: 'eth0', snaplen: 77, tsresol: 9, tsoffset: 3n },
      ]);
      const expected = Buffer.concat([
        little.header(),
        little.iface(101, [text(2, 'tun0')], 65535),
        little.iface(1, [text(2, 'eth0'), little.number64(14, 3n), { code: 9, value: Buffer.of(9) }], 77),
        little.names(),
        // The pcapng file's clock says 4.000000001, just before the pcap file's 4.000005.
        little.enhanced(1, 1_000_000_001n, frame, options(little)),
        little.enhanced(1, 0n, frame),
        little.enhanced(0, 4_000_005n, frame),
        little.obsolete(1, 2_000_000_000n, frame, [little.number32(2, 2)]),
        little.statistics(1),
      ]);
      expect(file.read(file('both.pcapng')).toString('hex')).toBe(expected.toString('hex'));
    },
  );

  it('gives what came before a damaged record, then the error', async () => {
    const good = { seconds: 1, fraction: 0, frame: new Uint8Array(3) };
    const damaged = Buffer.concat([pcap([good]), Buffer.alloc(16, 0xff)]);
    const readers = [openCapture(file('g.pcap', pcap([good]))), openCapture(file('d.pcap', damaged))];
    const { records, error } = await readAll(mergeCaptures(await Promise.all(readers)));
    expect(records).toHaveLength(2);
    expect(error).toMatchObject({ code: 'CAPTURE_BAD_LENGTH', place: { file: file('d.pcap') } });
  });
});
