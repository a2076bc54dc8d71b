/** The flow table against a Map: what was linked is found, what was unlinked is not, the newest of a source comes first. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FlowTable,
  META_EXPIRES,
  META_MARK,
  META_STATE,
  ORIGINAL,
  REPLY,
} from '../../../src/netfilter/conntrack/flowtable.js';
import { tupleHash } from '../../../src/packet/hash.js';
import { swap16, swap32, Tuple } from '../../../src/packet/tuple.js';

interface Ends {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

type Words = 1 | 4;

function tuple(words: Words, ends: Ends): Tuple {
  const made = new Tuple();
  made.family = words === 1 ? 4 : 6;
  made.protocol = ends.protocol;
  made.source.set(words === 1 ? [ends.source] : [0x20010db8, 0, ends.source >>> 16, ends.source]);
  made.destination.set(words === 1 ? [ends.destination] : [0x20010db8, 1, 0, ends.destination]);
  made.sourcePort = ends.sourcePort;
  made.destinationPort = ends.destinationPort;
  return made;
}

const turned = (e: Ends): Ends => ({
  protocol: e.protocol,
  source: e.destination,
  destination: e.source,
  sourcePort: e.destinationPort,
  destinationPort: e.sourcePort,
});

const key = (e: Ends): string => `${e.protocol} ${e.source}:${e.sourcePort} > ${e.destination}:${e.destinationPort}`;
const sourceKey = (e: Ends): string => `${e.protocol} ${e.source}:${e.sourcePort}`;

function add(table: FlowTable, words: Words, original: Ends): number {
  const entry = table.allocate();
  const at = entry * table.entryWords + table.meta;
  table.words[at] = (table.words[at] ?? 0) | original.protocol;
  table.writeTuple(entry, ORIGINAL, tuple(words, original));
  table.writeTuple(entry, REPLY, tuple(words, turned(original)));
  table.link(entry);
  return entry;
}

/** The same question as a Map and lists answer it. */
class Twin {
  readonly references = new Map<string, number>();
  readonly entries = new Map<number, Ends>();
  private readonly bySource = new Map<string, number[]>();

  link(entry: number, ends: Ends): void {
    this.entries.set(entry, ends);
    this.references.set(key(ends), entry * 2);
    this.references.set(key(turned(ends)), entry * 2 + 1);
    this.bySource.set(sourceKey(ends), [entry, ...this.newestFirst(ends)]);
  }

  unlink(entry: number): void {
    const ends = this.entries.get(entry);
    if (ends === undefined) return;
    this.entries.delete(entry);
    this.references.delete(key(ends));
    this.references.delete(key(turned(ends)));
    this.bySource.set(
      sourceKey(ends),
      this.newestFirst(ends).filter((other) => other !== entry),
    );
  }

  newestFirst(ends: Ends): number[] {
    return this.bySource.get(sourceKey(ends)) ?? [];
  }
}

/** The entries of the tuple's source as the table lists them: the list may hold other sources, too. */
function listed(table: FlowTable, twin: Twin, words: Words, ends: Ends): number[] {
  const found: number[] = [];
  let entry = table.firstBySource(tuple(words, ends));
  for (let steps = 0; entry >= 0; entry = table.nextBySource(entry)) {
    if (++steps > twin.entries.size) throw new Error('a list by source runs in a circle');
    const other = twin.entries.get(entry);
    if (other === undefined) throw new Error(`the list holds ${entry}, which is not linked`);
    if (sourceKey(other) === sourceKey(ends)) found.push(entry);
  }
  return found;
}

function holdAgainst(table: FlowTable, twin: Twin, words: Words, asked: readonly Ends[]): void {
  expect(table.count).toBe(twin.entries.size);
  for (const ends of asked) {
    const expected = twin.references.get(key(ends)) ?? -1;
    expect(table.find(tuple(words, ends)), key(ends)).toBe(expected);
    expect(listed(table, twin, words, ends)).toEqual(twin.newestFirst(ends));
    if (words === 1) expect(find4(table, ends), key(ends)).toBe(expected);
  }
}

/** As the fast path looks up: words as they lie in the packet. */
function find4(table: FlowTable, ends: Ends): number {
  const source = swap32(ends.source);
  const destination = swap32(ends.destination);
  const ports = swap16(ends.sourcePort) | (swap16(ends.destinationPort) << 16);
  return table.find4(source, destination, ports, ends.protocol, tupleHash(source, destination, ports, ends.protocol));
}

/** Few addresses and ports, so that connections share sources, and steps remove what steps before added. */
const ends: fc.Arbitrary<Ends> = fc.record({
  protocol: fc.constantFrom(6, 17),
  source: fc.constantFrom(0xac110003, 0xac110004, 0xffffffff),
  destination: fc.constantFrom(0xc0000201, 0xcb007135),
  sourcePort: fc.integer({ min: 0, max: 5 }),
  destinationPort: fc.constantFrom(53, 80),
});

describe.each<[string, Words]>([
  ['IPv4', 1],
  ['IPv6', 4],
])('%s connections', (_, words) => {
  it('are found in both directions exactly while they are linked, in random order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), ends), { maxLength: 150 }), (steps) => {
        const table = new FlowTable(words);
        const twin = new Twin();
        for (const [adding, each] of steps) {
          const reference = twin.references.get(key(each));
          if (adding && reference === undefined) {
            twin.link(add(table, words, each), each);
          } else if (!adding && reference !== undefined) {
            table.unlink(reference >> 1);
            table.release(reference >> 1);
            twin.unlink(reference >> 1);
          }
        }
        holdAgainst(
          table,
          twin,
          words,
          steps.flatMap(([, each]) => [each, turned(each)]),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('survive the table growing, again and again, with removals between', () => {
    const table = new FlowTable(words);
    const twin = new Twin();
    const all: Ends[] = [];
    for (let i = 0; i < 6000; i++) {
      const each = {
        protocol: i % 3 === 0 ? 17 : 6,
        source: 0x0a000000 + (i % 50),
        destination: 0xc0000201,
        sourcePort: i,
        destinationPort: 80,
      };
      all.push(each);
      twin.link(add(table, words, each), each);
      if (i % 4 === 3) {
        const gone = all[(i * 7) % all.length];
        const reference = gone === undefined ? undefined : twin.references.get(key(gone));
        if (reference === undefined) continue;
        table.unlink(reference >> 1);
        table.release(reference >> 1);
        twin.unlink(reference >> 1);
      }
    }
    holdAgainst(
      table,
      twin,
      words,
      all.flatMap((each) => [each, turned(each)]),
    );
    expect(table.peak).toBeGreaterThan(4000);
  });

  it('all removed leave a table in which nothing is found, and their memory is used again', () => {
    const table = new FlowTable(words);
    const all = Array.from({ length: 3000 }, (__, i) => ({
      protocol: 6,
      source: i,
      destination: ~i >>> 0,
      sourcePort: i & 7,
      destinationPort: 80,
    }));
    const entries = all.map((each) => add(table, words, each));
    for (const entry of entries) {
      table.unlink(entry);
      table.release(entry);
    }
    for (const each of all) expect(table.find(tuple(words, each))).toBe(-1);
    expect(table.count).toBe(0);
    for (const each of all) add(table, words, each);
    expect(table.used).toBe(3000);
    // Leftovers of the removed ones would make the way longer than in a table that never held anything else.
    const fresh = new FlowTable(words);
    for (const each of all) add(fresh, words, each);
    for (const each of [table, fresh]) each.probes = 0;
    for (const each of all) for (const one of [table, fresh]) one.find(tuple(words, each));
    expect(table.probes).toBe(fresh.probes);
  });

  it('read back as they were written', () => {
    const table = new FlowTable(words);
    const written = tuple(words, {
      protocol: 6,
      source: 0x01020304,
      destination: 0xfffefdfc,
      sourcePort: 1,
      destinationPort: 0xff00,
    });
    const entry = table.allocate();
    table.words[entry * table.entryWords + table.meta] = 6;
    table.writeTuple(entry, REPLY, written);
    expect(table.readTuple(entry, REPLY, new Tuple())).toEqual(written);
  });

  it('begin clean when their memory was used before', () => {
    const table = new FlowTable(words);
    const entry = table.allocate();
    const meta = entry * table.entryWords + table.meta;
    table.words.fill(-1, meta, meta + 7);
    table.release(entry);
    expect(table.allocate()).toBe(entry);
    expect([table.words[meta + META_EXPIRES], table.words[meta + META_MARK]]).toEqual([0, 0]);
    expect((table.words[meta + META_STATE] ?? 0) & 0xffff).toBe(0);
  });
});

describe('crowded slots', () => {
  /** Connections whose tuples all want one of the table's last slots, so that their cluster wraps round to the first. */
  function crowd(count: number, shift: number, slot: number): Ends[] {
    const found: Ends[] = [];
    for (let n = 0; found.length < count; n++) {
      const each = {
        protocol: 6,
        source: 0x0a000000 + (n >>> 12),
        destination: 0xc0000201,
        sourcePort: n & 0xfff,
        destinationPort: 80,
      };
      const ports = swap16(each.sourcePort) | (swap16(each.destinationPort) << 16);
      if (tupleHash(swap32(each.source), swap32(each.destination), ports, 6) >>> shift === slot) found.push(each);
    }
    return found;
  }

  it.each([
    ['a cluster around the end of the index', 40],
    ['a cluster longer than the displacement can be counted (63)', 90],
  ])(
    '%s loses nobody, whatever is taken out of it',
    (_, count) => {
      const all = crowd(count, 32 - Math.log2(1024), 1020);
      for (const step of [1, 7]) {
        const table = new FlowTable(1);
        const twin = new Twin();
        for (const each of all) twin.link(add(table, 1, each), each);
        for (let i = 0; i < all.length; i += step) {
          const each = all[(i * 11) % all.length];
          const reference = each === undefined ? undefined : twin.references.get(key(each));
          if (reference === undefined) continue;
          table.unlink(reference >> 1);
          table.release(reference >> 1);
          twin.unlink(reference >> 1);
          holdAgainst(
            table,
            twin,
            1,
            all.flatMap((e) => [e, turned(e)]),
          );
        }
      }
    },
    10_000,
  );
});

describe('tupleHash', () => {
  it.each<[string, (i: number) => Ends]>([
    [
      'one client, many ports',
      (i) => ({ protocol: 6, source: 0xac110003, destination: 0xcb007135, sourcePort: 1024 + i, destinationPort: 443 }),
    ],
    [
      'many clients of a subnet, one port each',
      (i) => ({ protocol: 6, source: 0x0a000000 + i, destination: 0xc0000201, sourcePort: 40000, destinationPort: 80 }),
    ],
    [
      'one client, many servers',
      (i) => ({
        protocol: 17,
        source: 0xac110003,
        destination: 0x08000000 + i * 256,
        sourcePort: 5353,
        destinationPort: 53,
      }),
    ],
    [
      'the answers of one server',
      (i) => ({
        protocol: 6,
        source: 0xc0000201,
        destination: 0x0a000000 + (i >> 6),
        sourcePort: 80,
        destinationPort: 40000 + (i & 63),
      }),
    ],
  ])('spreads %s over the slots about as evenly as chance does', (_, make) => {
    const slots = 4096;
    const used = new Set<number>();
    for (let i = 0; i < slots; i++) {
      const { protocol, source, destination, sourcePort, destinationPort } = make(i);
      used.add(
        tupleHash(
          swap32(source),
          swap32(destination),
          swap16(sourcePort) | (swap16(destinationPort) << 16),
          protocol,
        ) >>> 20,
      );
    }
    // Chance fills 1 - 1/e of them: 2589.
    expect(used.size).toBeGreaterThan(2300);
  });
});
