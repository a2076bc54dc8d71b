/** Zones of the flow table, held to a list that is searched from end to end. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowTable, META_ZONE, ORIGINAL, REPLY, zoneOf, zoneWord } from '../../../src/netfilter/conntrack/flowtable.js';
import { Tuple } from '../../../src/packet/tuple.js';

const tuple = (source: number, destination: number): Tuple => {
  const made = new Tuple();
  made.family = 4;
  made.protocol = 17;
  made.source[0] = source;
  made.destination[0] = destination;
  made.sourcePort = 1000;
  made.destinationPort = 53;
  return made;
};

const answer = (of: Tuple): Tuple => {
  const made = tuple(of.destination[0] ?? 0, of.source[0] ?? 0);
  made.sourcePort = of.destinationPort;
  made.destinationPort = of.sourcePort;
  return made;
};

interface Entry {
  readonly entry: number;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly zone: number;
}

function link(table: FlowTable, original: Tuple, zone: number): Entry {
  const entry = table.allocate();
  const reply = answer(original);
  table.words[entry * table.entryWords + table.meta] = (table.words[entry * table.entryWords + table.meta] ?? 0) | 17;
  table.words[entry * table.entryWords + table.meta + META_ZONE] = zone;
  table.writeTuple(entry, ORIGINAL, original);
  table.writeTuple(entry, REPLY, reply);
  table.link(entry);
  return { entry, original, reply, zone };
}

/** Kernel: __nf_conntrack_find_get in the original direction's zone, then in the reply's; `entries`: newest first. */
function naive(entries: readonly Entry[], wanted: Tuple, zone: number): number {
  const inZone = (number: number): number => {
    for (const e of entries) {
      // Of one entry the reply was added last.
      for (const [direction, own] of [[REPLY, e.reply] as const, [ORIGINAL, e.original] as const]) {
        const at = zoneOf(e.zone, direction);
        if (own.equals(wanted) && at === number && at === zoneOf(zone, direction)) return e.entry * 2 + direction;
      }
    }
    return -1;
  };
  const found = inZone(zoneOf(zone, ORIGINAL));
  return found >= 0 ? found : inZone(zoneOf(zone, REPLY));
}

/** Kernel: __nf_conntrack_confirm; of entries of other directions it compares the zones of those directions. */
function collides(entries: readonly Entry[], original: Tuple, reply: Tuple, zone: number): boolean {
  const taken = (wanted: Tuple, number: number): boolean =>
    entries.some((e) =>
      [ORIGINAL, REPLY].some((direction) => {
        const at = zoneOf(e.zone, direction);
        const own = direction === ORIGINAL ? e.original : e.reply;
        return own.equals(wanted) && at === number && at === zoneOf(zone, direction);
      }),
    );
  return taken(original, zoneOf(zone, ORIGINAL)) || taken(reply, zoneOf(zone, REPLY));
}

const zones = fc.tuple(fc.nat(3), fc.nat(3)).map(([zone, directions]) => zoneWord(zone, directions));

describe('zones', () => {
  it('find what a search through all entries finds, the newest first, and survive the table growing', () => {
    const step = fc.record({
      source: fc.integer({ min: 1, max: 3 }),
      turned: fc.boolean(),
      zone: zones,
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(zones, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (steps, asked, grows) => {
          const table = new FlowTable(1);
          let entries: Entry[] = [];
          for (const { source, turned, zone, remove } of steps) {
            const original = turned ? answer(tuple(source, 9)) : tuple(source, 9);
            const found = naive(entries, original, zone);
            const taken =
              table.findOnSide(original, zone, ORIGINAL) >= 0 || table.findOnSide(answer(original), zone, REPLY) >= 0;
            expect(taken).toBe(collides(entries, original, answer(original), zone));
            if (!taken) entries.unshift(link(table, original, zone));
            else if (remove && found >= 0) {
              table.unlink(found >> 1);
              table.release(found >> 1);
              entries = entries.filter(({ entry }) => entry !== found >> 1);
            }
          }
          if (grows) for (let source = 100; source < 500; source++) link(table, tuple(source, 9), 0);
          for (const zone of asked) {
            for (const source of [1, 2, 3]) {
              for (const wanted of [tuple(source, 9), answer(tuple(source, 9))])
                expect(table.find(wanted, zone)).toBe(naive(entries, wanted, zone));
            }
          }
        },
      ),
    );
  });

  it('are told apart by the first packet that is in one, too', () => {
    const table = new FlowTable(1);
    for (let source = 1; source <= 200; source++) link(table, tuple(source, 9), 0);
    for (let source = 1; source <= 200; source++) {
      expect(table.find(tuple(source, 9), zoneWord(1, 3))).toBe(-1);
      expect(table.find(tuple(source, 9), zoneWord(1, 1))).toBe(-1);
    }
  });

  it('a packet in a zone finds nothing of zone 0, even while no entry has a zone', () => {
    const table = new FlowTable(1);
    const made = [1, 2, 3].map((source) => link(table, tuple(source, 9), 0));
    for (const { original, reply, entry } of made) {
      // In zone 1 one way, in zone 0 the other.
      expect(table.find(original, zoneWord(1, 1))).toBe(-1);
      expect(table.find(reply, zoneWord(1, 1))).toBe(entry * 2 + REPLY);
      expect(table.find(original, zoneWord(1, 2))).toBe(entry * 2 + ORIGINAL);
      expect(table.find(reply, zoneWord(1, 2))).toBe(-1);
      for (let zone = 1; zone < 200; zone++) expect(table.find(original, zoneWord(zone, 3))).toBe(-1);
    }
  });

  it('a bucket holds the entries whose hash falls into it, and every tuple has one bucket', () => {
    const table = new FlowTable(1);
    const made = Array.from({ length: 300 }, (_, n) =>
      link(table, tuple(n + 1, 9), n % 3 === 0 ? zoneWord(n % 5, 3) : 0),
    );
    for (const buckets of [1, 7, 64, 5000]) {
      const seen = Array.from({ length: buckets }, (_, b) => table.inBucket(b, buckets)).flat();
      expect(seen.sort((a, b) => a - b)).toEqual(made.flatMap(({ entry }) => [entry, entry]));
    }
    for (const { original, entry, zone } of made) {
      if (zone === 0) expect(table.inBucket(table.bucket(original, 64), 64)).toContain(entry);
    }
  });
});
