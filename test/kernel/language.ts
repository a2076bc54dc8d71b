/**
 * A language for packets, and for what becomes of them:
 *
 *     in  lan   tcp 192.168.1.9:4000 > 198.51.100.1:80 S
 *     out wan   tcp 203.0.113.5:4000 > 198.51.100.1:80 S
 *     in  wan   icmp 198.51.100.1 > 203.0.113.5 unreachable 1 about { tcp 203.0.113.5:4000 > 198.51.100.1:80 S }
 *     drop
 *
 * `in IFACE` is a packet that arrives, `in @local` one that the host itself sends; the lines below it say what the host makes of it: `out IFACE` (once for each
 * packet that leaves), `host` (the host itself gets it) or `drop`. What an `out` or `host` line does not state is as in
 * the packet that came in, the TTL one less where it leaves, if the host did not send it; `same` states nothing at all, nor does `bridged`, which keeps even the TTL. `wait 1.5` lets seconds pass.
 *
 * On a bridge frames have a sender and somebody they are for, by the names of the chapter's stations: `from a to b`.
 *
 * A port may be a name: `$p` takes whatever port is seen there first, `$p(1024-65535)` one of that range,
 * `$p(1024-65535 but 4000)` any other than 4000, and stands for that port from then on.
 */
import { icmp, ip, tcp, udp } from './packets.js';

/** What a packet says of itself; what is missing takes the defaults of packets.ts. */
export interface PacketText {
  readonly protocol: string;
  /** Addresses, and ports as text: a number or a name. */
  readonly src: string;
  readonly dst: string;
  readonly sport: string | undefined;
  readonly dport: string | undefined;
  readonly words: Words;
  readonly about: PacketText | undefined;
}

type Words = Readonly<Record<string, string>>;

export interface InStep {
  readonly kind: 'in';
  readonly iface: string;
  readonly packet: PacketText;
  /** Line of the script, for messages. */
  readonly line: string;
  readonly expected: readonly ExpectedLine[];
}

export interface ExpectedLine {
  /** Interface, or TO_HOST. */
  readonly where: string;
  /** Undefined: as it came in. */
  readonly packet: PacketText | undefined;
  /** It was bridged, so that even its TTL is what it was. */
  readonly keepsTtl?: boolean;
}

export interface WaitStep {
  readonly kind: 'wait';
  readonly seconds: number;
}

export const TO_HOST = '(host)';

/** Ports that names stand for. */
export type Names = Map<string, number>;

/** How many words follow each word; `-` in front of it is not needed. */
const ARGUMENTS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    ['ttl', 'id', 'seq', 'ack', 'win', 'len', 'data', 'tos', 'type', 'code', 'echo', 'sum', 'cut', 'keep', 'trail']
      .concat([
        'piece',
        'ip-sum',
        'pad',
        'options',
        'tcp-options',
        'fragment',
        'number',
        'word',
        'total',
        'urgent',
        'version-ihl',
        'from',
        'to',
      ])
      .map((word) => [word, 1]),
  ),
  ...Object.fromEntries(['df', 'no-checksum', 'bad-checksum', 'bad-ip-checksum', 'no-df'].map((word) => [word, 0])),
};

/** ICMP messages by their names: type, and whether a code or an echo identifier follows. */
const ICMP_NAMES: Readonly<Record<string, readonly [type: string, then: 'code' | 'echo' | undefined]>> = {
  ping: ['8', 'echo'],
  pong: ['0', 'echo'],
  unreachable: ['3', 'code'],
  'time-exceeded': ['11', undefined],
  'parameter-problem': ['12', undefined],
  redirect: ['5', undefined],
};

export function parseScript(script: string): (InStep | WaitStep)[] {
  const steps: ((Omit<InStep, 'expected'> & { expected: ExpectedLine[] }) | WaitStep)[] = [];
  for (const raw of script.split('\n')) {
    const line = raw.replace(/\s#.*$/, '').trim();
    const words = line.split(/\s+/);
    const [verb = '', ...rest] = words;
    const last = steps.at(-1);
    if (line === '') continue;
    if (verb === 'wait') steps.push({ kind: 'wait', seconds: Number(rest[0]) });
    else if (verb === 'in') {
      steps.push({ kind: 'in', iface: rest[0] ?? '', packet: parsePacket(rest.slice(1)), line, expected: [] });
    } else if (last?.kind !== 'in') throw new Error(`no packet came in before: ${line}`);
    else if (verb === 'out') last.expected.push(expectedOutput(rest));
    else if (verb === 'host') last.expected.push({ where: TO_HOST, packet: expectedPacket(rest) });
    else if (verb !== 'drop') throw new Error(`no such verb: ${line}`);
  }
  return steps;
}

function expectedOutput([where = '', ...words]: readonly string[]): ExpectedLine {
  return { where, packet: expectedPacket(words), ...(words[0] === 'bridged' ? { keepsTtl: true } : {}) };
}

function expectedPacket(words: readonly string[]): PacketText | undefined {
  return words.length === 0 || words[0] === 'same' || words[0] === 'bridged' ? undefined : parsePacket(words);
}

export function parsePacket(given: readonly string[]): PacketText {
  // A name with its range is one word.
  const text = given.join(' ').replace(/\([^)]*\)/g, (range) => range.replaceAll(' ', '_'));
  const open = text.indexOf('{');
  const about =
    open < 0
      ? undefined
      : parsePacket(
          text
            .slice(open + 1, text.lastIndexOf('}'))
            .trim()
            .split(/\s+/),
        );
  const plain = (open < 0 ? text : text.slice(0, open)).trim().split(/\s+/);
  const [protocol = '', from = '', arrow, to = '', ...rest] = plain;
  if (arrow !== '>') throw new Error(`no packet: ${text}`);
  const [src, sport] = endpoint(protocol, from);
  const [dst, dport] = endpoint(protocol, to);
  return { protocol, src, sport, dst, dport, words: parseWords(protocol, rest), about };
}

function endpoint(protocol: string, text: string): [string, string | undefined] {
  if (protocol !== 'tcp' && protocol !== 'udp') return [text, undefined];
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function parseWords(protocol: string, given: readonly string[]): Words {
  const words: Record<string, string> = {};
  const rest = [...given];
  if (protocol === 'tcp') words['flags'] = rest.shift() ?? '';
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const message = ICMP_NAMES[word];
    if (message !== undefined) {
      words['type'] = message[0];
      if (message[1] !== undefined && rest[0] !== undefined) words[message[1]] = rest.shift() ?? '';
    } else if (word !== 'about') {
      const count = ARGUMENTS[word];
      if (count === undefined) throw new Error(`no such word: ${word}`);
      words[word] = count === 0 ? '' : (rest.shift() ?? '');
    }
  }
  return words;
}

/** The packet that is expected where `stated` (or nothing) was, of what came in. `ttl`: what leaving takes from it. */
export function inherit(stated: PacketText | undefined, input: PacketText, ttl: number): PacketText {
  const words: Record<string, string> = { ...input.words, ttl: String(Number(input.words['ttl'] ?? 64) - ttl) };
  if (stated === undefined) return { ...input, words };
  const about =
    stated.about !== undefined && input.about !== undefined ? inherit(stated.about, input.about, 0) : input.about;
  return { ...stated, words: { ...words, ...stated.words }, about };
}

/** Names that the packet needs and that do not stand for a port yet. */
export function unknownNames(packet: PacketText, names: Names): string[] {
  const own = [packet.sport, packet.dport, packet.words['echo']].flatMap((port) => {
    const name = nameOf(port);
    return name === undefined || names.has(name) ? [] : [name];
  });
  return packet.about === undefined ? own : [...own, ...unknownNames(packet.about, names)];
}

function nameOf(port: string | undefined): string | undefined {
  return port?.startsWith('$') === true ? port.replace(/\(.*$/, '') : undefined;
}

/** Gives names their ports, from a packet that was seen where `packet` was expected. Returns what is wrong with them. */
export function learnNames(packet: PacketText, seen: Uint8Array, names: Names): string | undefined {
  const l4 = ((seen[0] ?? 0) >> 4 === 6 ? 10 : (seen[0] ?? 0) & 15) * 4;
  const word = (at: number): number => (seen[l4 + at] ?? 0) * 256 + (seen[l4 + at + 1] ?? 0);
  for (const [text, at] of [
    [packet.sport, 0],
    [packet.dport, 2],
    [packet.words['echo'], 4],
  ] as const) {
    const name = nameOf(text);
    if (name === undefined || names.has(name)) continue;
    const port = word(at);
    const [, from = '0', to = '65535', but] = /\((\d+)-(\d+)(?:_but_(\d+))?\)/.exec(text ?? '') ?? [];
    names.set(name, port);
    if (port < Number(from) || port > Number(to) || port === Number(but)) return `${name} is ${port}, not ${text}`;
  }
  return undefined;
}

/** The packet's bytes, from its IP header on. */
export function build(packet: PacketText, names: Names = new Map()): Uint8Array {
  const { words } = packet;
  const fields = { ...ipFields(packet), ...transportFields(words) };
  const port = (text: string | undefined): number => names.get(nameOf(text) ?? '') ?? Number(text);
  const at = (host: string, text: string | undefined): string =>
    `${host.includes(':') ? `[${host}]` : host}:${port(text)}`;
  const ends = { src: at(packet.src, packet.sport), dst: at(packet.dst, packet.dport) };
  const whole = (): Uint8Array => {
    switch (packet.protocol) {
      case 'tcp':
        return tcp({ ...fields, ...ends, flags: (words['flags'] ?? '').replace(/^none$/, '') });
      case 'udp':
        return udp({ ...fields, ...ends, noChecksum: words['no-checksum'] !== undefined });
      case 'icmp':
        return icmp({ ...fields, ...icmpFields(packet, names, port(words['echo'])) });
      default:
        return ip(fields, protocolNumber(packet.protocol), fields.payload ?? new Uint8Array(0));
    }
  };
  return alter(whole(), words);
}

const PROTOCOLS: Readonly<Record<string, number>> = { ipip: 4, gre: 47, esp: 50, ah: 51, sctp: 132, udplite: 136 };

/** `gre`, or a number: `253`. */
const protocolNumber = (text: string): number => PROTOCOLS[text] ?? Number(text);

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]: V });
}

const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
const hex = (text: string | undefined): Buffer | undefined =>
  text === undefined ? undefined : Buffer.from(text.replaceAll('.', ''), 'hex');

function ipFields({ src, dst, words }: PacketText) {
  return {
    src,
    dst,
    ...optional('ttl', number(words['ttl'])),
    ...optional('id', number(words['id'])),
    ...optional('tos', number(words['tos'])),
    ...optional('fragment', number(words['fragment'])),
    ...optional('options', hex(words['options'])),
    df: words['df'] !== undefined,
    badIpChecksum: words['bad-ip-checksum'] !== undefined,
  };
}

function transportFields(words: Words) {
  const payload = words['data'] === undefined ? undefined : Buffer.from(words['data']);
  const length = number(words['len']);
  return {
    ...optional('seq', number(words['seq'])),
    ...optional('ack', number(words['ack'])),
    ...optional('window', number(words['win'])),
    ...optional('tcpOptions', hex(words['tcp-options'])),
    ...optional('payload', payload ?? (length === undefined ? undefined : Buffer.alloc(length, 'natreplay'))),
    badChecksum: words['bad-checksum'] !== undefined,
  };
}

function icmpFields({ words, about }: PacketText, names: Names, id: number) {
  // An error's second word is unused, or the MTU or pointer that `word` gives.
  const second = number(words['word']) ?? 0;
  const quoted = about === undefined ? undefined : build(about, names);
  return {
    type: Number(words['type'] ?? 8),
    ...optional('code', number(words['code'])),
    icmpId: Number.isNaN(id) ? second >>> 16 : id,
    seq: number(words['seq']) ?? (quoted === undefined ? 1 : second & 0xffff),
    ...optional('payload', quoted),
    ...optional('payload', words['data'] === undefined ? undefined : Buffer.from(words['data'])),
  };
}

/** What is done to a packet that was whole. */
function alter(packet: Uint8Array, words: Words): Uint8Array {
  let bytes: Buffer = Buffer.from(packet);
  const version6 = (bytes[0] ?? 0) >> 4 === 6;
  const l4 = version6 ? 40 : ((bytes[0] ?? 0) & 15) * 4;
  const stateLength = (): void => {
    bytes.writeUInt16BE(bytes.length - (version6 ? 40 : 0), version6 ? 4 : 2);
  };
  if (words['sum'] !== undefined) bytes.writeUInt16BE(Number(words['sum']), l4 + sumAt(bytes, version6));
  // `cut 6`: the packet ends six bytes into its transport header. `keep 6`: it was cut so, and says that it is longer.
  if (words['cut'] !== undefined) {
    bytes = bytes.subarray(0, l4 + Number(words['cut']));
    stateLength();
  }
  if (words['keep'] !== undefined) bytes = bytes.subarray(0, l4 + Number(words['keep']));
  if (words['trail'] !== undefined) {
    bytes = Buffer.concat([bytes, Buffer.alloc(Number(words['trail']), 'trail')]);
    stateLength();
  }
  if (words['piece'] !== undefined) bytes = pieceOf(bytes, l4, words['piece'], words['no-df'] !== undefined);
  if (words['total'] !== undefined) bytes.writeUInt16BE(Number(words['total']), version6 ? 4 : 2);
  if (words['version-ihl'] !== undefined) bytes[0] = Number(words['version-ihl']);
  if (version6) return bytes;
  headerChecksum(bytes, words['bad-ip-checksum'] !== undefined);
  if (words['ip-sum'] !== undefined) bytes.writeUInt16BE(Number(words['ip-sum']), 10);
  return bytes;
}

/** `piece 8-16`: only these bytes of the payload, as a fragment. */
function pieceOf(packet: Buffer, l4: number, range: string, noDf: boolean): Buffer {
  const [from = 0, to = 0] = range.split('-').map(Number);
  const bytes = Buffer.concat([packet.subarray(0, l4), packet.subarray(l4 + from, l4 + to)]);
  const df = noDf ? 0 : packet.readUInt16BE(6) & 0x4000;
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt16BE(df | (l4 + to < packet.length ? 0x2000 : 0) | (from >> 3), 6);
  return bytes;
}

function sumAt(packet: Uint8Array, version6: boolean): number {
  return { 6: 16, 17: 6 }[packet[version6 ? 6 : 9] ?? 0] ?? 2;
}

function headerChecksum(packet: Buffer, bad: boolean): Buffer {
  if (bad) return packet;
  const header = packet.subarray(0, Math.max(20, ((packet[0] ?? 0) & 15) * 4));
  header.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i + 1 < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.writeUInt16BE(~sum & 0xffff, 10);
  return packet;
}
