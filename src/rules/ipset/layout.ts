/**
 * The types of sets that the kernel has, and how an element of each lies in the words of its key. A type says itself what
 * its elements are made of: `hash:ip,port,net` is an address, a protocol with its port, and a network.
 */
import type { Family } from '../../host/types.js';

export type PartKind = 'ip' | 'net' | 'port' | 'mac' | 'mark' | 'iface';

/** A dimension of an element. */
export interface Part {
  readonly kind: PartKind;
  /** Word of the key where it begins. */
  readonly at: number;
  /** `src` or `dst` of which position in `--match-set NAME src,dst` it is. */
  readonly dimension: number;
}

export interface Layout {
  readonly type: string;
  readonly parts: readonly Part[];
  readonly keyWords: number;
  /** Undefined: of packets of either family (list:set, bitmap:port, hash:mac). */
  readonly family: Family | undefined;
  /** Of bitmaps, what lies outside of the range is never an element. */
  readonly bitmap: boolean;
}

const HASH_TYPES: readonly string[] = [
  'hash:ip',
  'hash:ip,mac',
  'hash:ip,mark',
  'hash:ip,port',
  'hash:ip,port,ip',
  'hash:ip,port,net',
  'hash:mac',
  'hash:net',
  'hash:net,iface',
  'hash:net,net',
  'hash:net,port',
  'hash:net,port,net',
];

export const SET_TYPES: readonly string[] = [...HASH_TYPES, 'bitmap:ip', 'bitmap:ip,mac', 'bitmap:port', 'list:set'];

/** Older names that ipset still takes. */
export const OLD_TYPES: ReadonlyMap<string, string> = new Map([
  ['iphash', 'hash:ip'],
  ['iptreemap', 'hash:ip'],
  ['iptree', 'hash:ip'],
  ['nethash', 'hash:net'],
  ['ipporthash', 'hash:ip,port'],
  ['ipportiphash', 'hash:ip,port,ip'],
  ['ipportnethash', 'hash:ip,port,net'],
  ['netporthash', 'hash:net,port'],
  ['netifacehash', 'hash:net,iface'],
  ['macipmap', 'bitmap:ip,mac'],
  ['ipmap', 'bitmap:ip'],
  ['portmap', 'bitmap:port'],
  ['setlist', 'list:set'],
]);

/** Words that a part of the key takes: an address, with its prefix length if it is a network. */
function wordsOf(kind: PartKind, addressWords: number): number {
  if (kind === 'ip') return addressWords;
  if (kind === 'net') return addressWords + 1;
  return kind === 'mac' ? 2 : 1;
}

/** Layout of a hash or bitmap type. In bitmap:ip,mac the address alone is the key. */
export function layoutOf(type: string, family: Family): Layout {
  const bitmap = type.startsWith('bitmap:');
  const kinds = type.slice(type.indexOf(':') + 1).split(',') as PartKind[];
  const parts: Part[] = [];
  let at = 0;
  for (const [dimension, kind] of kinds.entries()) {
    parts.push({ kind, at, dimension });
    if (!(bitmap && kind === 'mac')) at += wordsOf(kind, family === 4 ? 1 : 4);
  }
  const anyFamily = kinds.every((kind) => kind === 'port' || kind === 'mac');
  return { type, parts, keyWords: at, family: anyFamily ? undefined : bitmap ? 4 : family, bitmap };
}
