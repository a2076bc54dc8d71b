/** The fragments of one datagram: what is kept, ignored, and what kills it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spreadEcn, withEcn } from '../../../src/netfilter/defrag/ecn.js';
import { type Addition, FragmentQueue } from '../../../src/netfilter/defrag/queue.js';
import { truesize, type Waiting, WaitingDatagrams } from '../../../src/netfilter/defrag/store.js';

const NOTHING = new Uint8Array(0);

/** `0-16+ 16-24`: fragments as they come, `+` where others follow. */
function added(text: string): Addition[] {
  const queue = new FragmentQueue();
  return text.split(' ').map((word) => {
    const [offset = 0, end = 0] = word.replace('+', '').split('-').map(Number);
    return queue.add({ offset, end, bytes: NOTHING }, word.endsWith('+'));
  });
}

describe('the fragments of a datagram', () => {
  it.each([
    ['in order', '0-16+ 16-24', ['waiting', 'complete']],
    ['backwards', '16-24 8-16+ 0-8+', ['waiting', 'waiting', 'complete']],
    ['the same again', '0-16+ 0-16+', ['waiting', 'duplicate']],
    ['inside what came in order', '0-8+ 8-16+ 0-16+', ['waiting', 'waiting', 'duplicate']],
    ['across two that met by chance', '8-16+ 0-8+ 0-16+', ['waiting', 'waiting', 'overlap']],
    ['longer than what is there', '0-16+ 8-24+', ['waiting', 'overlap']],
    ['before what is there, into it', '16-32+ 8-24+', ['waiting', 'overlap']],
    ['behind the end', '16-24 24-32+', ['waiting', 'inconsistent']],
    ['another end', '16-24 24-32', ['waiting', 'inconsistent']],
    ['an end before what is there', '16-32+ 0-16', ['waiting', 'inconsistent']],
    ['nothing in it', '8-8+', ['empty']],
    [
      'an end that a duplicate states is believed',
      '0-8+ 8-16+ 8-16 16-24+',
      ['waiting', 'waiting', 'duplicate', 'inconsistent'],
    ],
  ] as const)('%s', (_name, text, expected) => {
    expect(added(text)).toEqual(expected);
  });

  it('are complete with the last of them, in any order and with duplicates between', () => {
    const datagram = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(datagram, fc.infiniteStream(fc.nat()), (lengths, numbers) => {
        let end = 0;
        const pieces = lengths.map((blocks, k) => {
          const offset = end;
          end += blocks * 8;
          return { offset, end, bytes: NOTHING, more: k + 1 < lengths.length };
        });
        const pick = (below: number): number => (numbers.next().value ?? 0) % below;
        const queue = new FragmentQueue();
        const rest = [...pieces];
        while (rest.length > 0) {
          const [piece] = rest.splice(pick(rest.length), 1);
          if (piece === undefined) break;
          expect(queue.add(piece, piece.more)).toBe(rest.length === 0 ? 'complete' : 'waiting');
          if (rest.length > 0) expect(queue.add(piece, piece.more)).toBe('duplicate');
        }
        expect(queue.pieces.map(({ offset }) => offset)).toEqual(pieces.map(({ offset }) => offset));
      }),
    );
  });
});

describe('congestion marks (RFC 3168 section 5.3)', () => {
  const spread = (...fields: readonly number[]): number | undefined => spreadEcn(fields.reduce(withEcn, 0));
  it.each([
    ['none', [0, 0], 0],
    ['capable, none congested', [2, 1, 2], 0],
    ['one congested', [2, 3, 2], 3],
    ['all congested: nothing to add', [3, 3], 0],
    ['capable and not', [0, 2], undefined],
    ['congested and not capable', [0, 3], undefined],
  ] as const)('%s', (_name, fields, bits) => {
    expect(spread(...fields)).toBe(bits);
  });
});

describe('datagrams that wait', () => {
  const limits = { timeout: 30_000, memory: 4000 };
  const store = () => new WaitingDatagrams<Waiting>(limits, () => ({ since: 0, memory: 0, fragments: 0 }));

  it('are given up when their time is over, however many came meanwhile', () => {
    const waiting = store();
    const first = waiting.find('a', 0);
    if (first !== undefined) waiting.keep(first, 100);
    expect(waiting.find('a', 29_999)).toBe(first);
    expect(waiting.find('a', 30_000)).not.toBe(first);
    expect([waiting.expired, waiting.expiredFragments]).toEqual([1, 1]);
    expect(waiting.waiting).toEqual({ datagrams: 1, fragments: 0 });
  });

  it('take no more once they fill the memory, until some are gone', () => {
    const waiting = store();
    for (let n = 0; n < 6; n++) {
      const one = waiting.find(`${n}`, 0);
      if (one !== undefined) waiting.keep(one, 100);
    }
    expect(truesize(100)).toBe(768);
    expect(waiting.waiting).toEqual({ datagrams: 5, fragments: 5 });
    const zero = waiting.find('0', 0);
    expect(zero).toBeUndefined();
    expect(waiting.find('0', 30_000)).toBeDefined();
  });
});
