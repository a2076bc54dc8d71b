/** Writing the way of one direction of a connection into its entry. */
import { fold, halves } from '../packet/checksum.js';
import { FAST_ORIGINAL, type FlowTable, META_DELTA, META_PATH, STATED_ORIGINAL } from './conntrack/flowtable.js';

/** Partial sum of taking 1 from the TTL. */
const TTL_DELTA = 0xfffe;

/**
 * Notes the way of a direction and its checksum deltas: its tuple becomes the other's turned round. `local`: the way leads to
 * the host itself, where the TTL stays.
 */
export function noteWay(
  table: FlowTable,
  entry: number,
  direction: number,
  ingress: number,
  way: number,
  local: boolean,
): void {
  const { words, meta, tupleWords, entryWords } = table;
  const base = entry * entryWords;
  const from = base + direction * tupleWords;
  const to = base + (1 - direction) * tupleWords;
  const addresses = fold(
    halves(~(words[from] as number)) +
      halves(words[to + 1] as number) +
      halves(~(words[from + 1] as number)) +
      halves(words[to] as number),
  );
  const ports = halves(~(words[from + 2] as number)) + halves(words[to + 2] as number);
  const header = local ? addresses : fold(addresses + TTL_DELTA);
  const at = base + meta;
  words[at + META_PATH + direction] = ingress | (way << 16);
  words[at + META_DELTA + direction] = header | (fold(addresses + ports) << 16);
}

/** Lets later packets of the direction take the way noted. `stated`: only those that state their ingress. */
export function openWay(table: FlowTable, entry: number, direction: number, stated: boolean): void {
  const at = entry * table.entryWords + table.meta;
  const others = (table.words[at] as number) & ~(STATED_ORIGINAL << direction);
  table.words[at] = others | (stated ? STATED_ORIGINAL << direction : 0) | (FAST_ORIGINAL << direction);
}
