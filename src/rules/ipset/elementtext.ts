/**
 * Elements as `ipset save` writes them, and as people write them by hand: ranges of addresses and ports stand for all
 * between, a prefix of a set of addresses for all of its addresses.
 */
import { addressBits, parseAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import { ICMP_TYPES, ICMP6_TYPES } from '../extensions/icmp-types.js';
import { protocolNumber } from '../values/protocols.js';
import { servicePort } from '../values/services.js';
import type { Cursor } from './cursor.js';
import type { ElementSet } from './elementset.js';
import type { Part } from './layout.js';

const COMMA = 44;
const DASH = 45;
const SLASH = 47;
const COLON = 58;
const ICMP = 1;
const TCP = 6;
const ICMPV6 = 58;
/** Most elements that one line may stand for (kernel: IPSET_MAX_RANGE). */
const MAX_RANGE = 1 << 20;

/** What is wrong with an element: for a message. */
export class ElementError extends Error {
  constructor(
    readonly what: string,
    readonly advice: string,
  ) {
    super(what);
  }
}

/** First and last of what a part stands for: addresses of IPv4, ports. */
interface Span {
  first: number;
  last: number;
}

/** Reads elements of one set. */
export class ElementReader {
  private readonly spans: Span[];
  private lastName = '';
  private lastProtocol: number | undefined;

  constructor(private readonly set: ElementSet) {
    this.spans = set.layout.parts.map(() => ({ first: 0, last: 0 }));
  }

  /** Reads an element at the cursor and calls `each` with its key in `set.key`, once for each that it stands for. */
  read(cursor: Cursor, each: () => void): void {
    const { parts } = this.set.layout;
    let ranges = false;
    for (let k = 0; k < parts.length; k++) {
      const part = parts[k] as Part;
      if (k > 0 && !cursor.takes(COMMA)) {
        if (this.set.layout.bitmap && part.kind === 'mac') {
          this.set.noStation();
          break;
        }
        throw new ElementError(
          `an element of ${this.set.type} has ${parts.length} parts`,
          'they are separated by commas',
        );
      }
      if (this.readPart(part, this.spans[k] as Span, cursor)) ranges = true;
    }
    if (ranges) this.expand(0, 1, each);
    else each();
  }

  /** True where it stands for more than one, which `span` holds. */
  private readPart(part: Part, span: Span, cursor: Cursor): boolean {
    span.first = 0;
    span.last = -1;
    switch (part.kind) {
      case 'ip':
        return this.readAddress(part, span, cursor);
      case 'net':
        return this.readNetwork(part, span, cursor);
      case 'port':
        return this.readPort(part, span, cursor);
      case 'mac':
        this.readStation(part, cursor);
        return false;
      case 'mark': {
        const text = cursor.upTo(', ');
        const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : -1;
        if (value < 0 || value > 0xffffffff) throw new ElementError(`"${text}" is not a mark`, 'write it like 0x10');
        this.set.key[part.at] = value & this.set.options.markMask;
        return false;
      }
      case 'iface': {
        const text = cursor.upTo(', ');
        const port = text.startsWith('physdev:');
        const name = port ? text.slice('physdev:'.length) : text;
        if (name === '' || name.length > 15) throw new ElementError(`"${text}" is not an interface`, 'write its name');
        this.set.key[part.at] = this.set.interfaceWord(name, port);
        return false;
      }
    }
  }

  private readAddress(part: Part, span: Span, cursor: Cursor): boolean {
    const { family } = this.set;
    if (family === 6) {
      const words = this.words(cursor, ', ');
      this.store(words, part.at);
      return false;
    }
    const address = this.ipv4(cursor);
    span.first = address;
    span.last = address;
    if (cursor.takes(SLASH)) {
      const length = cursor.number(32);
      if (length < 1) throw new ElementError('this is not a prefix length', 'write one from 1 to 32');
      const size = 2 ** (32 - length);
      span.first = address - (address % size);
      span.last = span.first + size - 1;
    } else if (cursor.takes(DASH)) {
      const other = this.ipv4(cursor);
      span.first = Math.min(address, other);
      span.last = Math.max(address, other);
    }
    this.checkRange(span.first);
    this.checkRange(span.last);
    this.storeIpv4(part.at, span.first);
    return span.last > span.first;
  }

  private readNetwork(part: Part, span: Span, cursor: Cursor): boolean {
    const { family, key } = this.set;
    const bits = addressBits(family);
    if (family === 6) {
      const words = this.words(cursor, '/, ');
      const length = cursor.takes(SLASH) ? cursor.number(bits) : bits;
      if (length < 0) throw new ElementError('this is not a prefix length', `write one from 0 to ${bits}`);
      this.set.storeNetwork(part.at, words, length);
      return false;
    }
    const address = this.ipv4(cursor);
    if (cursor.takes(DASH)) {
      const other = this.ipv4(cursor);
      span.first = Math.min(address, other);
      span.last = Math.max(address, other);
      return true;
    }
    const length = cursor.takes(SLASH) ? cursor.number(bits) : bits;
    if (length < 0) throw new ElementError('this is not a prefix length', `write one from 0 to ${bits}`);
    key[part.at] = length === 0 ? 0 : address & (0xffffffff << (32 - length));
    key[part.at + 1] = length;
    return false;
  }

  /** `tcp:80`, `80` (TCP), `udp:1-9`, `icmp:echo-request`, `icmp:3/1`, `gre:0`; of bitmap:port the number alone. */
  private readPort(part: Part, span: Span, cursor: Cursor): boolean {
    const { key, layout, options } = this.set;
    const start = cursor.at;
    let protocol = layout.bitmap ? 0 : TCP;
    let port = cursor.number(0xffff);
    if (port < 0 || cursor.takes(COLON)) {
      cursor.at = start;
      const name = cursor.upTo(':, ');
      const number = this.protocol(name);
      if (!cursor.takes(COLON)) {
        port = servicePort(name) ?? -1;
      } else {
        if (number === undefined) throw new ElementError(`"${name}" is not a protocol`, 'write it like tcp:80');
        protocol = layout.bitmap ? 0 : number;
        port = number === ICMP || number === ICMPV6 ? icmpWord(cursor, number) : namedPort(cursor);
      }
    }
    if (port < 0) throw new ElementError(`"${cursor.text.slice(start, cursor.end)}" is not a port`, 'write tcp:80');
    const last = cursor.takes(DASH) ? cursor.number(0xffff) : port;
    if (last < 0) throw new ElementError('the range of ports does not end', 'write it like tcp:1000-2000');
    span.first = Math.min(port, last);
    span.last = Math.max(port, last);
    const [from, to] = layout.bitmap ? (options.range ?? [0, 0xffff]) : [0, 0xffff];
    if (span.first < from || span.last > to)
      throw new ElementError(`port ${port} is outside of the set's range`, `it holds ${from} to ${to}`);
    key[part.at] = (protocol << 16) | span.first;
    return span.last > span.first;
  }

  private readStation(part: Part, cursor: Cursor): void {
    const text = cursor.upTo(', ');
    if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text))
      throw new ElementError(`"${text}" is not an Ethernet address`, 'write it like 00:53:00:12:34:56');
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = text.split(':').map((octet) => Number.parseInt(octet, 16));
    this.set.storeStation(part.at, (a << 24) | (b << 16) | (c << 8) | d, (e << 8) | f);
  }

  /** Every element that the ranges from part `k` on stand for. */
  private expand(k: number, made: number, each: () => void): void {
    const { parts } = this.set.layout;
    const { key } = this.set;
    const part = parts[k];
    const span = this.spans[k];
    if (part === undefined || span === undefined) {
      each();
      return;
    }
    if (span.last < span.first) {
      this.expand(k + 1, made, each);
      return;
    }
    const { first, last } = span;
    if (part.kind === 'net') {
      for (let from = first; from <= last; ) {
        const length = longestWithin(from, last);
        key[part.at] = from | 0;
        key[part.at + 1] = length;
        this.expand(k + 1, made, each);
        from += 2 ** (32 - length);
      }
      return;
    }
    const count = made * (last - first + 1);
    if (count > MAX_RANGE)
      throw new ElementError(`it stands for more than ${MAX_RANGE} elements`, 'a set of networks takes it as it is');
    const protocol = (key[part.at] as number) & ~0xffff;
    for (let value = first; value <= last; value++) {
      if (part.kind === 'ip') this.storeIpv4(part.at, value);
      else key[part.at] = protocol | value;
      this.expand(k + 1, count, each);
    }
  }

  /** Nearly every element has the protocol of the one before. */
  private protocol(name: string): number | undefined {
    if (name !== this.lastName) {
      this.lastName = name;
      this.lastProtocol = protocolNumber(name);
    }
    return this.lastProtocol;
  }

  private ipv4(cursor: Cursor): number {
    const address = cursor.ipv4();
    if (address >= 0) return address;
    const text = cursor.upTo(',/- ');
    const other = parseAddress(text, 6) !== undefined;
    throw new ElementError(
      other ? `${text} is an IPv6 address, and the set is one of IPv4` : `"${text}" is not an IPv4 address`,
      other ? 'create the set with "family inet6"' : 'names of hosts are not looked up',
    );
  }

  private words(cursor: Cursor, stop: string): Uint32Array {
    const text = cursor.upTo(stop);
    const words = parseAddress(text, 6)?.words;
    if (words !== undefined) return words;
    throw new ElementError(`"${text}" is not an IPv6 address`, 'names of hosts are not looked up');
  }

  private checkRange(address: number): void {
    const { range } = this.set.options;
    if (range !== undefined && (address < range[0] || address > range[1]))
      throw new ElementError('the element is outside of the range of its set', 'create the set with a wider range');
  }

  private storeIpv4(at: number, address: number): void {
    const mask = this.set.options.mask?.[0];
    this.set.key[at] = mask === undefined ? address | 0 : address & mask;
  }

  private store(words: Uint32Array, at: number): void {
    const { mask } = this.set.options;
    for (let k = 0; k < 4; k++)
      this.set.key[at + k] = mask === undefined ? (words[k] as number) : (words[k] as number) & (mask[k] as number);
  }
}

/** Length of the largest network that begins at an address and does not reach beyond another. */
function longestWithin(from: number, last: number): number {
  let length = 32;
  while (length > 1) {
    const size = 2 ** (33 - length);
    if (from % size !== 0 || from + size - 1 > last) break;
    length--;
  }
  return length;
}

/** `tcp:80`, `tcp:http`. */
function namedPort(cursor: Cursor): number {
  const start = cursor.at;
  const port = cursor.number(0xffff);
  if (port >= 0) return port;
  cursor.at = start;
  return servicePort(cursor.upTo(',- ')) ?? -1;
}

/** `3/1`, `echo-request`: type and code as one number. */
function icmpWord(cursor: Cursor, protocol: number): number {
  const start = cursor.at;
  const type = cursor.number(255);
  if (type >= 0) {
    const code = cursor.takes(SLASH) ? cursor.number(255) : 0;
    return code < 0 ? -1 : (type << 8) | code;
  }
  cursor.at = start;
  const name = cursor.upTo(', ');
  const named = (protocol === ICMP ? ICMP_TYPES : ICMP6_TYPES).find(([known]) => known === name);
  return named === undefined ? -1 : (named[1] << 8) | (named[2] ?? 0);
}

/** Bits of an address of that family as `family inet` and `family inet6` of `create` name it. */
export const familyNamed = (text: string): Family | undefined =>
  text === 'inet' || text === 'ipv4' || text === '-4'
    ? 4
    : text === 'inet6' || text === 'ipv6' || text === '-6'
      ? 6
      : undefined;
