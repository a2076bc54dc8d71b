import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { Section, temporaryFolder, text } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();
const FRAME = Buffer.from('0102030405060708090a0b0c0d', 'hex');
const T = 1_700_000_000n;

describe.each([
  { order: 'little-endian', bigEndian: false },
  { order: 'big-endian', bigEndian: true },
])('pcapng, $order', ({ bigEndian }) => {
  const s = new Section(bigEndian);

  it.each([
    { name: 'microseconds by default', options: [], units: T * 1_000_000n + 123_456n, nanoseconds: 123_456_000 },
    {
      name: '10^-9',
      options: [{ code: 9, value: Buffer.of(9) }],
      units: T * 10n ** 9n + 999_999_999n,
      nanoseconds: 999_999_999,
    },
    { name: '10^-3', options: [{ code: 9, value: Buffer.of(3) }], units: T * 1000n + 7n, nanoseconds: 7_000_000 },
    { name: 'seconds', options: [{ code: 9, value: Buffer.of(0) }], units: T, nanoseconds: 0 },
    {
      name: '10^-12',
      options: [{ code: 9, value: Buffer.of(12) }],
      units: T * 10n ** 9n * 1000n + 5_000n,
      nanoseconds: 5,
    },
    {
      name: '2^-10',
      options: [{ code: 9, value: Buffer.of(0x8a) }],
      units: T * 1024n + 512n,
      nanoseconds: 500_000_000,
    },
  ])('if_tsresol: $name', async ({ options, units, nanoseconds }) => {
    const content = Buffer.concat([s.header(), s.iface(1, options), s.enhanced(0, units & (2n ** 64n - 1n), FRAME)]);
    const { records, error } = await readAll(file('resolution.pcapng', content));
    expect(error).toBeUndefined();
    const wrapped = name12(options) ? Number((units & (2n ** 64n - 1n)) / 10n ** 12n) : Number(T);
    expect(records).toMatchObject([{ seconds: wrapped, frame: FRAME.toString('hex') }]);
    if (!name12(options)) expect(records[0]?.nanoseconds).toBe(nanoseconds);
  });

  it('if_tsoffset is added, be it negative', async () => {
    const blocks = [s.header(), s.iface(1, [s.number64(14, -5n)]), s.enhanced(0, 2_000_001n, FRAME)];
    const { records } = await readAll(file('offset.pcapng', Buffer.concat(blocks)));
    expect(records).toMatchObject([{ seconds: -3, nanoseconds: 1000 }]);
  });

  it('reads names, link types, directions, and simple and obsolete packet blocks', async () => {
    const content = Buffer.concat([
      s.header(-1n, [text(1, 'a comment')]),
      s.iface(1, [text(2, 'eth0')], 8),
      s.names(),
      s.iface(276, [text(2, 'any\0')]),
      s.enhanced(0, T * 1_000_000n, FRAME, [text(1, 'odd'), s.number32(2, 2)]),
      s.enhanced(1, T * 1_000_000n, FRAME, [s.number32(2, 1)]),
      s.block(0x0badf00d, s.bytes().u32(1)),
      s.simple(FRAME),
      s.obsolete(1, T * 1_000_000n + 1n, FRAME, [s.number32(2, 2)]),
      s.statistics(1),
    ]);
    const path = file('kinds.pcapng', content);
    const { records, reader, error } = await readAll(path);
    expect(error).toBeUndefined();
    expect(reader.interfaces).toMatchObject([
      { name: 'eth0', linkType: 1, snaplen: 8 },
      { name: 'any', linkType: 276, snaplen: 0 },
    ]);
    expect(records.map(({ source, direction, seconds }) => [source, direction, seconds])).toEqual([
      [0, 2, Number(T)],
      [1, 1, Number(T)],
      [0, 0, 0],
      [1, 2, Number(T)],
    ]);
    expect(records[2]?.frame).toBe(FRAME.subarray(0, 8).toString('hex'));
    await copy(path, file('kinds-copy.pcapng'));
    expect(file.read(file('kinds-copy.pcapng')).equals(content)).toBe(true);
  });

  it('cut at any byte: gives the whole records before the cut, or one error', async () => {
    const blocks = [s.header(), s.iface(1), s.enhanced(0, T, FRAME), s.statistics(0), s.enhanced(0, T, FRAME)];
    const content = Buffer.concat(blocks);
    const secondAt = content.length - (blocks[4]?.length ?? 0);
    const firstEnd = (blocks[0]?.length ?? 0) + (blocks[1]?.length ?? 0) + (blocks[2]?.length ?? 0);
    for (let cut = 0; cut < content.length; cut++) {
      const path = file('cut.pcapng', content.subarray(0, cut));
      if (cut < 24) {
        await expect(readAll(path)).rejects.toBeInstanceOf(NatreplayError);
        continue;
      }
      const { records, warnings, error } = await readAll(path);
      expect(error).toBeUndefined();
      expect(records).toHaveLength(cut < firstEnd ? 0 : 1);
      if (cut > secondAt) expect(warnings).toMatchObject([{ code: 'CAPTURE_TRUNCATED', offset: secondAt }]);
    }
  });

  const start = (): Buffer => Buffer.concat([s.header(), s.iface(1), s.enhanced(0, T, FRAME)]);
  it.each([
    { name: 'a block of length 0', code: 'CAPTURE_BAD_BLOCK_LENGTH', block: s.bytes().u32(6).u32(0).u32(0).u32(0) },
    { name: 'a block of 10 bytes', code: 'CAPTURE_BAD_BLOCK_LENGTH', block: s.bytes().u32(6).u32(10).u32(0).u32(0) },
    {
      name: 'a length not a multiple of 4',
      code: 'CAPTURE_BAD_BLOCK_LENGTH',
      block: s.bytes().u32(6).u32(17).u32(0).u32(0),
    },
    { name: 'a block of 4 GB', code: 'CAPTURE_BAD_BLOCK_LENGTH', block: s.bytes().u32(6).u32(0xfffffffc).u32(0) },
    { name: 'lengths that differ', code: 'CAPTURE_BAD_BLOCK_TRAILER', block: s.bytes().u32(9).u32(16).u32(0).u32(20) },
    {
      name: 'a wrong byte-order magic',
      code: 'CAPTURE_BAD_BYTE_ORDER',
      block: s.bytes().u32(0x0a0d0d0a).u32(28).u32(7).u32(28),
    },
    {
      name: 'an interface that is not described',
      code: 'CAPTURE_NO_INTERFACE',
      block: s.bytes().raw(s.enhanced(1, T, FRAME)),
    },
    {
      name: 'a packet block too short',
      code: 'CAPTURE_BAD_BLOCK_LENGTH',
      block: s.bytes().raw(s.block(6, s.bytes().u32(0))),
    },
    {
      name: 'more captured bytes than the block has',
      code: 'CAPTURE_BAD_LENGTH',
      block: s.bytes().raw(s.block(6, s.bytes().u32(0).u32(0).u32(0).u32(64).u32(64).u32(0))),
    },
  ])('$name is an error at its byte, after the records before', async ({ code, block }) => {
    const good = start();
    const { records, error } = await readAll(file('bad.pcapng', Buffer.concat([good, block.done()])));
    expect(records).toHaveLength(1);
    expect(error).toBeInstanceOf(NatreplayError);
    expect(error).toMatchObject({ code, exitCode: 2, place: { offset: good.length } });
  });
});

/** 10^-12 of today does not fit into 64 bits: the time wraps around, as it does for everybody. */
function name12(options: readonly { value: Uint8Array }[]): boolean {
  return options[0]?.value[0] === 12;
}

describe('pcapng with check sequences at the end of frames', () => {
  const frame = Buffer.from('0200000000010200000000020800', 'hex');
  const check = Buffer.from('c0ffee00', 'hex');

  it.each([
    ['stated in bytes', 4],
    ['stated in bits', 32],
  ])('%s: frames are read without, and what is written states none', async (_, stated) => {
    for (const bigEndian of [false, true]) {
      const make = new Section(bigEndian);
      const section = (fcslen: number, end: Buffer): Buffer =>
        Buffer.concat([
          make.header(),
          make.iface(1, [text(2, 'eth0'), { code: 13, value: Buffer.from([fcslen]) }]),
          make.iface(1, [text(2, 'eth1')]),
          make.enhanced(0, 7n, Buffer.concat([frame, end])),
          // The other interface states none.
          make.enhanced(1, 7n, Buffer.concat([frame, check])),
        ]);
      const path = file('fcs.pcapng', section(stated, check));
      await copy(path, file('fcs-copy.pcapng'));
      expect(file.read(file('fcs-copy.pcapng')).equals(section(0, Buffer.alloc(0)))).toBe(true);
    }
  });
});

describe('pcapng with several sections', () => {
  const little = new Section(false);
  const big = new Section(true);
  const content = Buffer.concat([
    little.header(),
    little.iface(1, [text(2, 'eth0')]),
    little.enhanced(0, 1n, FRAME),
    big.header(),
    big.iface(101, [text(2, 'tun0')]),
    big.enhanced(0, 2n, FRAME),
    big.header(),
    big.iface(1, [text(2, 'eth1')]),
    big.iface(1, [text(2, 'eth2')]),
    big.enhanced(1, 3n, FRAME),
  ]);

  it('numbers the interfaces through and keeps every byte, whatever the byte order', async () => {
    const path = file('sections.pcapng', content);
    const { records, reader } = await readAll(path);
    expect(reader.interfaces.map(({ name }) => name)).toEqual(['eth0', 'tun0', 'eth1', 'eth2']);
    expect(records.map(({ source }) => source)).toEqual([0, 1, 3]);
    await copy(path, file('sections-copy.pcapng'));
    expect(file.read(file('sections-copy.pcapng')).equals(content)).toBe(true);
  });

  it('wants a section header before anything else', async () => {
    await expect(readAll(file('no-section.pcapng', little.iface(1)))).rejects.toMatchObject({
      code: 'CAPTURE_UNKNOWN_FORMAT',
    });
  });
});
