/**
 * A packet in words:
 *
 *     tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0
 *     udp [2001:db8::1]:4000 > [2001:db8::2]:53 from @local
 *     icmp 192.168.1.10 > 198.51.100.1 echo-request id 7 ttl 1
 *     tcp 10.0.0.1:1000 > 10.0.0.2:http flags SA mark 0x1 state established
 *     proto 253 10.0.0.1 > 10.0.0.2 len 100
 *
 * What follows the addresses may stand in any order.
 */
import { NatreplayError } from '../errors.js';
import { type Address, parseAddress } from '../host/address.js';
import type { Family } from '../host/types.js';
import {
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
} from '../packet/transport.js';
import { ICMP_TYPES, ICMP6_TYPES } from '../rules/extensions/icmp-types.js';
import { didYouMean } from '../rules/nearest.js';
import { parseUnsigned } from '../rules/values/numbers.js';
import { SERVICE_NAMES, servicePort } from '../rules/values/services.js';

export interface PacketSpec {
  readonly family: Family;
  readonly protocol: number;
  readonly source: Uint32Array;
  readonly destination: Uint32Array;
  /** 0 where the protocol has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Byte 13 of the TCP header; undefined: not stated. */
  readonly tcpFlags: number | undefined;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly icmpId: number;
  readonly ttl: number;
  readonly tos: number;
  /** Bytes behind the transport header. */
  readonly payload: number;
  readonly mac: Uint8Array | undefined;
  readonly mark: number;
  /** Interface it comes in by, `@local` for the host itself; undefined: not stated. */
  readonly iface: string | undefined;
  /** It is a later packet of its connection. */
  readonly established: boolean;
  /** Seconds since 1970; undefined: not stated. */
  readonly seconds: number | undefined;
}

/** Protocols by name; others are `proto N`. */
const PROTOCOLS = new Map([
  ['tcp', PROTO_TCP],
  ['udp', PROTO_UDP],
  ['icmp', PROTO_ICMP],
  ['icmp6', PROTO_ICMPV6],
  ['icmpv6', PROTO_ICMPV6],
  ['sctp', PROTO_SCTP],
  ['gre', PROTO_GRE],
  ['esp', 50],
]);

const FLAG_NAMES = new Map([
  ['fin', TCP_FIN],
  ['syn', TCP_SYN],
  ['rst', TCP_RST],
  ['psh', TCP_PSH],
  ['ack', TCP_ACK],
  ['urg', TCP_URG],
  ['ece', 0x40],
  ['cwr', 0x80],
]);
/** Letters as in tcpdump's man page, bit 0 first. */
const FLAG_LETTERS = 'FSRPAUEC';

/** Words that an argument follows. */
const WITH_ARGUMENT = ['in', 'from', 'flags', 'mark', 'ttl', 'len', 'tos', 'mac', 'id', 'type', 'code', 'state', 'at'];
const LONGEST_PAYLOAD = 65_000;
const LOCAL = '@local';

interface Word {
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

type Draft = { -readonly [K in keyof PacketSpec]: PacketSpec[K] };

/** Throws EXPLAIN_BAD_PACKET with the column. */
export function parsePacketText(text: string): PacketSpec {
  return new PacketParser(text).parse();
}

class PacketParser {
  private readonly words: Word[];
  private next = 0;

  constructor(private readonly text: string) {
    this.words = [...text.matchAll(/\S+/g)].map((found) => ({ text: found[0], column: found.index + 1 }));
  }

  parse(): PacketSpec {
    const protocol = this.protocol();
    const hasPorts = protocol === PROTO_TCP || protocol === PROTO_UDP || protocol === PROTO_SCTP;
    const source = this.endpoint('source', hasPorts);
    const arrow = this.take("'>' between the addresses");
    if (arrow.text !== '>' && arrow.text !== '->') this.fail(`"${arrow.text}" stands where '>' is expected`, arrow);
    const destination = this.endpoint('destination', hasPorts);
    const { family } = source.address;
    if (destination.address.family !== family)
      this.fail(`"${destination.word.text}" is not an IPv${family} address as the source is`, destination.word);
    this.checkFamily(protocol, family);
    const draft: Draft = {
      family,
      protocol,
      source: source.address.words,
      destination: destination.address.words,
      sourcePort: source.port,
      destinationPort: destination.port,
      tcpFlags: undefined,
      icmpType: protocol === PROTO_ICMPV6 ? 128 : 8,
      icmpCode: 0,
      icmpId: 1,
      ttl: 64,
      tos: 0,
      payload: 0,
      mac: undefined,
      mark: 0,
      iface: undefined,
      established: false,
      seconds: undefined,
    };
    for (let word = this.words[this.next]; word !== undefined; word = this.words[this.next]) {
      this.next++;
      this.detail(draft, word);
    }
    return draft;
  }

  private protocol(): number {
    const word = this.take('a protocol');
    const name = word.text.toLowerCase();
    const known = PROTOCOLS.get(name);
    if (known !== undefined) return known;
    if (name !== 'proto')
      return this.fail(
        `"${word.text}" is no protocol`,
        word,
        didYouMean(name, [...PROTOCOLS.keys(), 'proto'], `write ${[...PROTOCOLS.keys()].join(', ')} or proto NUMBER`),
      );
    const number = this.number('a protocol number', 255);
    const named = [...PROTOCOLS].find(([, value]) => value === number.value)?.[0];
    if (named !== undefined) this.fail(`protocol ${number.value} has a name here`, number.word, `write ${named}`);
    return number.value;
  }

  private checkFamily(protocol: number, family: Family): void {
    const [first] = this.words;
    if (first === undefined) return;
    if (protocol === PROTO_ICMP && family === 6) this.fail('icmp is of IPv4', first, 'write icmp6');
    if (protocol === PROTO_ICMPV6 && family === 4) this.fail('icmp6 is of IPv6', first, 'write icmp');
  }

  /** `192.0.2.1:80`, `[2001:db8::1]:80`; `192.0.2.1`, `2001:db8::1` without ports. */
  private endpoint(which: string, hasPort: boolean): { address: Address; port: number; word: Word } {
    const word = this.take(`the ${which} address`);
    const { text } = word;
    const form = hasPort
      ? /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text)
      : /^(?:\[([^\]]*)\]|([^[\]]*))$/.exec(text);
    const example = hasPort ? '192.0.2.1:80 or [2001:db8::1]:80' : '192.0.2.1 or 2001:db8::1, without a port';
    if (form === null)
      return this.fail(
        `"${text}" is not ${hasPort ? 'an address with a port' : 'an address'}`,
        word,
        `write ${example}`,
      );
    const [, bracketed, plain = '', port = ''] = form;
    const address = parseAddress(bracketed ?? plain);
    if (address === undefined || (bracketed !== undefined && address.family === 4)) {
      const advice = hasPort ? `write ${example}` : `write ${example}; host names are not looked up`;
      return this.fail(`"${bracketed ?? plain}" is not an address`, word, advice);
    }
    return { address, port: hasPort ? this.port(port, word) : 0, word };
  }

  private port(text: string, word: Word): number {
    const port = parseUnsigned(text, 0xffff) ?? servicePort(text);
    if (port !== undefined) return port;
    return this.fail(`"${text}" is not a port`, word, didYouMean(text, SERVICE_NAMES, 'write a number of 0-65535'));
  }

  private detail(draft: Draft, word: Word): void {
    const name = word.text.toLowerCase();
    if (WITH_ARGUMENT.includes(name)) this.argument(draft, name, word);
    else if (draft.protocol === PROTO_TCP && this.isFlags(name))
      draft.tcpFlags = (draft.tcpFlags ?? 0) | this.flagWords(name);
    else if (!this.icmpName(draft, name)) this.unknown(draft, word);
  }

  private unknown({ protocol }: Draft, word: Word): never {
    const flags = protocol === PROTO_TCP ? [...FLAG_NAMES.keys()] : [];
    const types = this.icmpTypes(protocol).map(([name]) => name);
    const words = [...WITH_ARGUMENT, ...flags, ...types];
    const some = [...WITH_ARGUMENT, ...flags].join(', ');
    return this.fail(
      `"${word.text}" says nothing about a packet`,
      word,
      didYouMean(word.text, words, `words are ${some}`),
    );
  }

  private argument(draft: Draft, name: string, word: Word): void {
    switch (name) {
      case 'in':
        draft.iface = this.interface(draft, word);
        return;
      case 'from':
        draft.iface = this.fromHost(draft, word);
        return;
      case 'flags':
        this.needs(draft, word, [PROTO_TCP], 'TCP');
        draft.tcpFlags = this.flags();
        return;
      case 'mark':
        draft.mark = this.number('a mark', 0xffffffff).value;
        return;
      case 'ttl':
        draft.ttl = this.number('a TTL', 255).value;
        return;
      case 'len':
        draft.payload = this.number('a number of bytes', LONGEST_PAYLOAD).value;
        return;
      case 'tos':
        draft.tos = this.number('a TOS', 255).value;
        return;
      case 'mac':
        draft.mac = this.mac();
        return;
      case 'state':
        draft.established = this.isEstablished();
        return;
      case 'at':
        draft.seconds = this.time();
        return;
      default:
        this.icmpField(draft, name, word);
    }
  }

  private icmpField(draft: Draft, name: string, word: Word): void {
    this.needs(draft, word, [PROTO_ICMP, PROTO_ICMPV6], 'ICMP');
    if (name === 'id') draft.icmpId = this.number('an identifier', 0xffff).value;
    else if (name === 'type') draft.icmpType = this.number('an ICMP type', 255).value;
    else draft.icmpCode = this.number('an ICMP code', 255).value;
  }

  private needs({ protocol }: Draft, word: Word, protocols: readonly number[], what: string): void {
    if (!protocols.includes(protocol)) this.fail(`"${word.text}" is for ${what} only`, word, 'leave it out');
  }

  private interface(draft: Draft, word: Word): string {
    const name = this.take('an interface');
    if (name.text === LOCAL) return this.fail('no packet comes in by @local', name, 'write from @local');
    return this.once(draft, word, name.text);
  }

  private fromHost(draft: Draft, word: Word): string {
    const name = this.take(LOCAL);
    if (name.text !== LOCAL)
      return this.fail(`"${name.text}" is not @local`, name, `write in ${name.text}, or from @local`);
    return this.once(draft, word, LOCAL);
  }

  private once({ iface }: Draft, word: Word, name: string): string {
    if (iface !== undefined) this.fail('it is said twice where the packet comes from', word, 'leave one out');
    return name;
  }

  private isFlags(name: string): boolean {
    return name.split(/[+,]/).every((one) => FLAG_NAMES.has(one));
  }

  private flagWords(text: string): number {
    return text.split(/[+,]/).reduce((bits, one) => bits | (FLAG_NAMES.get(one) ?? 0), 0);
  }

  /** `SA`, `syn,ack` or `none`. */
  private flags(): number {
    const word = this.take('TCP flags');
    const name = word.text.toLowerCase();
    if (name === 'none') return 0;
    if (this.isFlags(name)) return this.flagWords(name);
    const bits = [...word.text.toUpperCase()].map((letter) => FLAG_LETTERS.indexOf(letter));
    if (bits.includes(-1))
      this.fail(
        `"${word.text}" are no TCP flags`,
        word,
        didYouMean(name, FLAG_NAMES.keys(), `write letters of ${FLAG_LETTERS}, as in SA, or words as in syn,ack`),
      );
    return bits.reduce((sum, bit) => sum | (1 << bit), 0);
  }

  private icmpTypes(protocol: number): typeof ICMP_TYPES {
    if (protocol === PROTO_ICMP) return ICMP_TYPES.filter(([name]) => name !== 'any');
    return protocol === PROTO_ICMPV6 ? ICMP6_TYPES : [];
  }

  private icmpName(draft: Draft, name: string): boolean {
    const found = this.icmpTypes(draft.protocol).find(([one]) => one.toLowerCase() === name);
    if (found === undefined) return false;
    draft.icmpType = found[1];
    draft.icmpCode = found[2] ?? 0;
    return true;
  }

  private mac(): Uint8Array {
    const word = this.take('an Ethernet address');
    if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(word.text))
      this.fail(`"${word.text}" is not an Ethernet address`, word, 'write it like 00:53:00:12:34:56');
    return Uint8Array.from(word.text.split(':'), (part) => Number.parseInt(part, 16));
  }

  private isEstablished(): boolean {
    const word = this.take('a state');
    const name = word.text.toLowerCase();
    if (name === 'new' || name === 'established') return name === 'established';
    const advice = didYouMean(name, ['new', 'established'], 'write new or established; others follow from the packet');
    return this.fail(`"${word.text}" is no state that can be stated`, word, advice);
  }

  private time(): number {
    const word = this.take('a time');
    const time = Date.parse(word.text);
    const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(word.text);
    if (!isWhole || Number.isNaN(time) || time < 0 || time > 0xffffffff * 1000)
      this.fail(`"${word.text}" is not a time`, word, 'write it like 2026-01-31T12:00:00Z');
    return Math.floor(time / 1000);
  }

  private number(what: string, max: number): { value: number; word: Word } {
    const word = this.take(what);
    const value = parseUnsigned(word.text, max);
    if (value === undefined) return this.fail(`"${word.text}" is not ${what}`, word, `write a number of 0-${max}`);
    return { value, word };
  }

  private take(what: string): Word {
    const word = this.words[this.next];
    if (word === undefined)
      return this.fail(`${what} is missing`, { text: '', column: this.text.length + 1 }, `an example: ${EXAMPLE}`);
    this.next++;
    return word;
  }

  private fail(what: string, word: Word, advice = `an example: ${EXAMPLE}`): never {
    throw new NatreplayError('EXPLAIN_BAD_PACKET', what, { file: 'packet', line: 1, column: word.column, advice });
  }
}

const EXAMPLE = "'tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0'";
