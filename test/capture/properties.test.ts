/** What holds for any capture, and for anything that once was one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { parsePackets } from '../support/pcap-parser.js';
import { pcap, Section, temporaryFolder } from './build.js';
import { copy, NOT_WRITTEN, readAll } from './read.js';

const file = temporaryFolder();
const RUNS = { numRuns: 80, seed: 20 };

const records = fc.array(
  fc.record({
    seconds: fc.nat(0xffffffff),
    fraction: fc.nat(999_999),
    frame: fc.uint8Array({ maxLength: 90 }),
    wireLength: fc.nat(70_000),
  }),
  { maxLength: 20 },
);

/** Sections of random blocks, well-formed. */
const pcapng = fc
  .array(
    fc.tuple(
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(5), fc.nat(1), fc.bigInt(0n, 2n ** 60n), fc.uint8Array({ maxLength: 40 })), {
        maxLength: 12,
      }),
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((sections) =>
    Buffer.concat(
      sections.flatMap(([bigEndian, blocks]) => {
        const s = new Section(bigEndian);
        const ifaces = [s.iface(1), s.iface(101, [{ code: 9, value: Buffer.of(9) }])];
        const made = blocks.map(([kind, id, time, frame]) => {
          if (kind === 0) return s.simple(frame);
          if (kind === 1) return s.obsolete(id, time, frame);
          if (kind === 2) return s.names();
          if (kind === 3) return s.statistics(id);
          return s.enhanced(id, time, frame, kind === 4 ? [s.number32(2, id + 1)] : []);
        });
        return [s.header(), ...ifaces, ...made];
      }),
    ),
  );

const anyCapture = fc.oneof(
  records.map((list) => pcap(list)),
  records.map((list) => pcap(list, { bigEndian: true, magic: 0xa1b23c4d })),
  pcapng,
);

describe('any capture', () => {
  it('is written as it was read, byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(anyCapture, async (content) => {
        const path = file('any', content);
        await copy(path, file('any-copy'));
        expect(file.read(file('any-copy')).equals(content)).toBe(true);
      }),
      RUNS,
    );
  });

  it('keeps time, lengths and frames in another format', async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.constantFrom(0xa1b2c3d4, 0xa1b23c4d), async (list, magic) => {
        const path = file('convert.pcap', pcap(list, { magic }));
        await copy(path, file('convert.pcapng'));
        await copy(file('convert.pcapng'), file('back.pcap'));
        const expected = (await readAll(path)).records;
        expect((await readAll(file('convert.pcapng'))).records).toEqual(expected);
        expect((await readAll(file('back.pcap'))).records).toEqual(expected);
      }),
      RUNS,
    );
  });

  it('loses only the records left out', async () => {
    await fc.assert(
      fc.asyncProperty(anyCapture, fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), async (content, drop) => {
        const path = file('drop', content);
        await copy(path, file('drop-out'), { output: (i) => (drop[i] === true ? NOT_WRITTEN : 0) });
        const before = (await readAll(path)).records.filter((_, i) => drop[i] !== true);
        expect((await readAll(file('drop-out'))).records).toEqual(before);
      }),
      RUNS,
    );
  });

  it('cut anywhere gives a prefix of its records, and nothing worse than an error of ours', async () => {
    await fc.assert(
      fc.asyncProperty(anyCapture, fc.double({ min: 0, max: 1, noNaN: true }), async (content, part) => {
        const all = (await readAll(file('whole', content))).records;
        const cut = content.subarray(0, Math.floor(content.length * part));
        try {
          const { records: some, error } = await readAll(file('cut', cut));
          expect(error).toBeUndefined();
          expect(some).toEqual(all.slice(0, some.length));
        } catch (error) {
          expect(error).toBeInstanceOf(NatreplayError);
          expect(cut.length).toBeLessThan(28);
        }
      }),
      RUNS,
    );
  });

  it('with bytes changed is read, or refused with an error of ours', async () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(anyCapture, flips, async (content, changes) => {
        const damaged = Buffer.from(content);
        for (const [at, value] of changes) damaged[at % damaged.length] = value;
        const path = file('damaged', damaged);
        try {
          const { error } = await readAll(path);
          if (error !== undefined) expect(error).toBeInstanceOf(NatreplayError);
          else await copy(path, file('damaged.pcapng'), { outputs: [{ name: 'x' }] });
        } catch (error) {
          expect(error).toBeInstanceOf(NatreplayError);
        }
      }),
      { numRuns: 400, seed: 21 },
    );
  });
});

describe('pcap-parser, an independent reader', () => {
  it('sees the same packets', async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.boolean(), async (list, bigEndian) => {
        const content = pcap(list, { bigEndian });
        const theirs = await parsePackets(content);
        const ours = (await readAll(file('theirs.pcap', content))).records;
        expect(
          ours.map(({ seconds, nanoseconds, wireLength, frame }) => [seconds, nanoseconds, wireLength, frame]),
        ).toEqual(
          theirs.map(({ header, data }) => [
            header.timestampSeconds,
            header.timestampMicroseconds * 1000,
            header.originalLength,
            data.toString('hex'),
          ]),
        );
      }),
      { numRuns: 30, seed: 22 },
    );
  });
});
