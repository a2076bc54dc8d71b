/** Reads `create NAME TYPE ...`, as `ipset save` writes it, into a set without elements. */
import { parseAddress, parseIpv4, parsePrefix, prefixMask } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import { didYouMean } from '../nearest.js';
import type { SharedState } from '../state/shared.js';
import { ElementSet } from './elementset.js';
import { ElementError, familyNamed } from './elementtext.js';
import { layoutOf, OLD_TYPES, SET_TYPES } from './layout.js';
import { ListSet } from './listset.js';
import type { SetOptions } from './set.js';

/** Longest name of a set (kernel: IPSET_MAXNAMELEN less its zero). */
const MAX_NAME = 31;
const MAX_TIMEOUT = 2147483;
const MAX_ELEMENTS = 65536;

const FLAGS = new Set(['counters', 'comment', 'skbinfo', 'forceadd']);
/** Options whose value no packet depends on. */
const IRRELEVANT = new Set(['hashsize', 'bucketsize', 'initval', 'probes', 'resize', 'size', 'gc', 'from', 'to']);

/** The words behind `create`. Throws ElementError. */
export function createSet(words: readonly string[], shared: SharedState): ElementSet | ListSet {
  const [name = '', given = '', ...rest] = words;
  if (name === '' || name.length > MAX_NAME)
    throw new ElementError(`"${name}" cannot be a set`, `names have 1 to ${MAX_NAME} characters`);
  const type = OLD_TYPES.get(given) ?? given;
  if (!SET_TYPES.includes(type))
    throw new ElementError(
      `"${given}" is not a type of set`,
      didYouMean(given, SET_TYPES, `there are ${SET_TYPES.join(', ')}`),
    );
  const options = optionWords(rest);
  const family = familyOf(options.get('family'));
  const read = readOptions(options, family, type);
  return type === 'list:set'
    ? new ListSet(name, read, shared)
    : new ElementSet(name, layoutOf(type, family), family, read, shared);
}

function optionWords(words: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (FLAGS.has(word)) options.set(word, '');
    else if (word === '-exist' || word === '-!') continue;
    else if (KNOWN.has(word) || IRRELEVANT.has(word)) {
      const value = words[++i];
      if (value === undefined) throw new ElementError(`${word} needs a value`, 'write it behind');
      options.set(word, value);
    } else {
      throw new ElementError(
        `"${word}" is not an option of sets`,
        didYouMean(word, [...KNOWN, ...FLAGS], 'give what "ipset save" prints'),
      );
    }
  }
  return options;
}

const KNOWN = new Set(['family', 'timeout', 'maxelem', 'netmask', 'bitmask', 'markmask', 'range']);

function familyOf(text: string | undefined): Family {
  if (text === undefined) return 4;
  const family = familyNamed(text);
  if (family === undefined) throw new ElementError(`"${text}" is not a family`, 'inet or inet6');
  return family;
}

function readOptions(options: ReadonlyMap<string, string>, family: Family, type: string): SetOptions {
  const number = (name: string, max: number): number | undefined => {
    const text = options.get(name);
    if (text === undefined) return undefined;
    const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max)) throw new ElementError(`${name} ${text} is not a number up to ${max}`, 'correct it');
    return value;
  };
  const range = readRange(options.get('range'), type);
  return {
    timeout: number('timeout', MAX_TIMEOUT),
    counters: options.has('counters'),
    skbinfo: options.has('skbinfo'),
    forceAdd: options.has('forceadd'),
    maxElements: type.startsWith('hash:') ? (number('maxelem', 0xffffffff) ?? MAX_ELEMENTS) : Number.POSITIVE_INFINITY,
    mask: readMask(options, family),
    markMask: number('markmask', 0xffffffff) ?? 0xffffffff,
    range,
  };
}

/** `netmask 24` is a prefix length, `bitmask` a mask with gaps if need be. */
function readMask(options: ReadonlyMap<string, string>, family: Family): Uint32Array | undefined {
  const netmask = options.get('netmask');
  const bitmask = options.get('bitmask');
  if (netmask !== undefined) {
    const bits = family === 4 ? 32 : 128;
    const length = /^[0-9]{1,3}$/.test(netmask) ? Number(netmask) : Number.NaN;
    if (!(length >= 1 && length <= bits))
      throw new ElementError(`netmask ${netmask} is not a prefix length`, `write one from 1 to ${bits}`);
    return prefixMask(family, length);
  }
  if (bitmask === undefined) return undefined;
  const mask = parseAddress(bitmask, family)?.words;
  if (mask === undefined) throw new ElementError(`"${bitmask}" is not a mask`, 'write it like 255.255.0.255');
  return mask;
}

/** `range 10.0.0.0-10.0.255.255`, `range 10.0.0.0/16`, `range 0-1023`. */
function readRange(text: string | undefined, type: string): readonly [number, number] | undefined {
  if (!type.startsWith('bitmap:')) return undefined;
  const wrong = (): never => {
    throw new ElementError(
      text === undefined ? `a set of type ${type} needs a range` : `"${text}" is not a range`,
      type === 'bitmap:port' ? 'write it like range 0-1023' : 'write it like range 10.0.0.0-10.0.255.255',
    );
  };
  if (text === undefined) return wrong();
  const prefix = type === 'bitmap:port' ? undefined : parsePrefix(text, 4);
  if (prefix !== undefined && text.includes('/')) {
    const size = 2 ** (32 - prefix.prefixLength);
    const first = (prefix.words[0] ?? 0) - ((prefix.words[0] ?? 0) % size);
    return [first, first + size - 1];
  }
  const [from = '', to = from] = text.split('-');
  const read = (word: string): number | undefined =>
    type === 'bitmap:port' ? (/^[0-9]{1,5}$/.test(word) ? Number(word) : undefined) : parseIpv4(word);
  const a = read(from);
  const b = read(to);
  if (a === undefined || b === undefined) return wrong();
  return [Math.min(a, b), Math.max(a, b)];
}
