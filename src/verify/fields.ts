/** Where two packets differ, in the words of their headers. Not for the hot path. */

export interface FieldDifference {
  /** `ip.ttl`, `tcp.dport`, `payload`, ... */
  readonly field: string;
  /** Hexadecimal, or dotted or decimal where that is how the field is read. */
  readonly kernel: string;
  readonly predicted: string;
}

type Shape = 'hex' | 'decimal' | 'address';
type Field = readonly [name: string, offset: number, length: number, shape?: Shape];

const IPV4: readonly Field[] = [
  ['ip.version-ihl', 0, 1],
  ['ip.tos', 1, 1],
  ['ip.length', 2, 2, 'decimal'],
  ['ip.id', 4, 2],
  ['ip.fragment', 6, 2],
  ['ip.ttl', 8, 1, 'decimal'],
  ['ip.protocol', 9, 1, 'decimal'],
  ['ip.checksum', 10, 2],
  ['ip.source', 12, 4, 'address'],
  ['ip.destination', 16, 4, 'address'],
];

const IPV6: readonly Field[] = [
  ['ip6.flow', 0, 4],
  ['ip6.length', 4, 2, 'decimal'],
  ['ip6.next-header', 6, 1, 'decimal'],
  ['ip6.hop-limit', 7, 1, 'decimal'],
  ['ip6.source', 8, 16],
  ['ip6.destination', 24, 16],
];

const TRANSPORT: ReadonlyMap<number, readonly Field[]> = new Map([
  [
    6,
    [
      ['tcp.sport', 0, 2, 'decimal'],
      ['tcp.dport', 2, 2, 'decimal'],
      ['tcp.seq', 4, 4, 'decimal'],
      ['tcp.ack', 8, 4, 'decimal'],
      ['tcp.offset-flags', 12, 2],
      ['tcp.window', 14, 2, 'decimal'],
      ['tcp.checksum', 16, 2],
      ['tcp.urgent', 18, 2],
    ],
  ],
  [
    17,
    [
      ['udp.sport', 0, 2, 'decimal'],
      ['udp.dport', 2, 2, 'decimal'],
      ['udp.length', 4, 2, 'decimal'],
      ['udp.checksum', 6, 2],
    ],
  ],
  [1, icmpFields('icmp')],
  [58, icmpFields('icmp6')],
]);

function icmpFields(name: string): readonly Field[] {
  return [
    [`${name}.type`, 0, 1, 'decimal'],
    [`${name}.code`, 1, 1, 'decimal'],
    [`${name}.checksum`, 2, 2],
    [`${name}.id`, 4, 2, 'decimal'],
    [`${name}.seq`, 6, 2, 'decimal'],
  ];
}

/** Every field in which two packets (from their IP headers on) differ; empty when they are the same bytes. */
export function differingFields(kernel: Uint8Array, predicted: Uint8Array): FieldDifference[] {
  if (Buffer.compare(kernel, predicted) === 0) return [];
  const found: FieldDifference[] = [];
  let at = 0;
  for (const [name, offset, length, shape] of fieldsOf(kernel)) {
    if (offset > at) pushRange(found, `bytes ${at}-${offset - 1}`, kernel, predicted, at, offset);
    const a = kernel.subarray(offset, offset + length);
    const b = predicted.subarray(offset, offset + length);
    if (Buffer.compare(a, b) !== 0) found.push({ field: name, kernel: show(a, shape), predicted: show(b, shape) });
    at = offset + length;
  }
  pushRange(found, `from byte ${at}`, kernel, predicted, at, Math.max(kernel.length, predicted.length));
  return found;
}

function fieldsOf(packet: Uint8Array): Field[] {
  const version = (packet[0] ?? 0) >> 4;
  const base = version === 6 ? IPV6 : IPV4;
  const headerLength = version === 6 ? 40 : ((packet[0] ?? 0) & 0x0f) * 4;
  const protocol = packet[version === 6 ? 6 : 9] ?? 0;
  // A later fragment has no transport header.
  const later = version === 4 && (((packet[6] ?? 0) & 0x1f) << 8) + (packet[7] ?? 0) !== 0;
  const transport = later ? [] : (TRANSPORT.get(protocol) ?? []);
  const moved = transport.map(
    ([name, offset, length, shape = 'hex']): Field => [name, headerLength + offset, length, shape],
  );
  return [...base, ...moved];
}

function pushRange(
  found: FieldDifference[],
  field: string,
  kernel: Uint8Array,
  predicted: Uint8Array,
  from: number,
  to: number,
): void {
  const a = kernel.subarray(from, to);
  const b = predicted.subarray(from, to);
  if (Buffer.compare(a, b) !== 0) found.push({ field, kernel: show(a), predicted: show(b) });
}

function show(bytes: Uint8Array, shape: Shape = 'hex'): string {
  if (bytes.length === 0) return 'nothing';
  if (shape === 'address') return [...bytes].join('.');
  if (shape === 'decimal') return String(bytes.reduce((sum, byte) => sum * 256 + byte, 0));
  const hex = Buffer.from(bytes.subarray(0, 32)).toString('hex');
  return bytes.length > 32 ? `${hex}... (${bytes.length} bytes)` : hex;
}
