/** From columns to lines of the packet log. Runs only when a log is asked for; it makes objects, so it has its price. */
import type { Slab } from '../capture/slab.js';
import { type CaptureInterface, NOT_WRITTEN } from '../capture/types.js';
import type { Host } from '../host/types.js';
import { readPorts } from '../netfilter/conntrack/tuples.js';
import type { Engine } from '../netfilter/engine.js';
import { CT_ESTABLISHED, CT_NEW, CT_NONE, CT_RELATED, CT_UNTRACKED } from '../netfilter/packet.js';
import {
  EGRESS_REPLACED,
  INGRESS_LOCAL,
  NAT_DESTINATION,
  NAT_SOURCE,
  type ResultColumns,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_HELD,
  VERDICT_IGNORED,
  VERDICT_LOCAL,
  VERDICT_OUTGOING,
} from '../netfilter/results.js';
import { KIND_IPV4, KIND_IPV4_PORTS, KIND_IPV6, type PacketColumns } from '../packet/columns.js';
import { IPV4_PROTOCOL, ipv4Destination, ipv4FragmentOffset, ipv4HeaderLength, ipv4Source } from '../packet/ipv4.js';
import { IPV6_DESTINATION, IPV6_HEADER, IPV6_SOURCE, skipExtensionHeaders, type UpperLayer } from '../packet/ipv6.js';
import { ETHERNET_HEADER, ETHERNET_SENDER, ETHERNET_TYPE, isVlanTag } from '../packet/link.js';
import { Tuple } from '../packet/tuple.js';
import { timestampText } from '../report/packetlog.js';
import { tupleText } from '../report/tupletext.js';
import type { PacketLogEntry, Verdict } from '../report/types.js';
import { LOCAL_NAME } from './ingress.js';
import type { OutputStage, PlacedExtra } from './outputs.js';

export const VERDICT_NAMES: readonly Verdict[] = (() => {
  const names: Verdict[] = [];
  names[VERDICT_FORWARD] = 'forward';
  names[VERDICT_LOCAL] = 'local';
  names[VERDICT_DROP] = 'drop';
  names[VERDICT_HELD] = 'held';
  names[VERDICT_OUTGOING] = 'outgoing';
  names[VERDICT_IGNORED] = 'ignored';
  return names;
})();

const STATE_NAMES = new Map<number, 'new' | 'established' | 'related' | 'invalid' | 'untracked'>([
  [CT_NEW, 'new'],
  [CT_ESTABLISHED, 'established'],
  [CT_RELATED, 'related'],
  [CT_NONE, 'invalid'],
  [CT_UNTRACKED, 'untracked'],
]);

const MICROSECONDS = 6;
const NANOSECONDS = 9;
/** Top bit of if_tsresol: the resolution is a power of two. */
const BINARY_RESOLUTION = 0x80;

const NO_EXTRAS: readonly PlacedExtra[] = [];

const tuple = new Tuple();
const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** The packet of record i as text (`tcp 198.51.100.7:40000 > 192.0.2.1:8799`); undefined if it is not IP. */
export function describePacket(slab: Slab, columns: PacketColumns, i: number): string | undefined {
  const kind = columns.kind[i] as number;
  const ip = columns.l3[i] as number;
  const end = columns.end[i] as number;
  if (kind === KIND_IPV6) return describeIpv6(slab.view, ip, end);
  if (kind !== KIND_IPV4 && kind !== KIND_IPV4_PORTS) return undefined;
  return describeIpv4(slab.view, ip, end);
}

function describeIpv4(view: DataView, ip: number, end: number): string {
  tuple.family = 4;
  tuple.protocol = view.getUint8(ip + IPV4_PROTOCOL);
  tuple.source.fill(0);
  tuple.destination.fill(0);
  tuple.source[0] = ipv4Source(view, ip);
  tuple.destination[0] = ipv4Destination(view, ip);
  const l4 = ip + ipv4HeaderLength(view, ip);
  const whole = ipv4FragmentOffset(view, ip) === 0 && readPorts(tuple, view, l4, end);
  return tupleText(tuple, whole);
}

/** What left, or was delivered, instead of record i: the first of its fragments names the ports. */
function describeExtra({ frame }: PlacedExtra, slab: Slab, columns: PacketColumns, i: number): string | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const start = slab.records.frame[i] as number;
  const length = (columns.l3[i] as number) - start;
  // Linux cooked v1 has its sender at the same place, and a header of 16 bytes.
  const isEthernet = (columns.sender[i] as number) === start + ETHERNET_SENDER && length % 4 === ETHERNET_HEADER % 4;
  const ip = isEthernet ? pastTags(view) : length;
  if (columns.kind[i] === KIND_IPV6) return describeIpv6(view, ip, frame.length);
  return describeIpv4(view, ip, frame.length);
}

/** Where the packet of an Ethernet frame begins: VLAN devices take tags off and put others on. */
function pastTags(view: DataView): number {
  let at = ETHERNET_TYPE;
  while (at + 6 <= view.byteLength && isVlanTag(view.getUint16(at))) at += 4;
  return at + 2;
}

function describeIpv6(view: DataView, ip: number, end: number): string | undefined {
  if (ip + IPV6_HEADER > end || !skipExtensionHeaders(view, ip, end, upper)) return undefined;
  tuple.family = 6;
  tuple.protocol = upper.protocol;
  for (let k = 0; k < 4; k++) {
    tuple.source[k] = view.getUint32(ip + IPV6_SOURCE + 4 * k);
    tuple.destination[k] = view.getUint32(ip + IPV6_DESTINATION + 4 * k);
  }
  const whole = upper.fragmentOffset === 0 && readPorts(tuple, view, upper.offset, end);
  return tupleText(tuple, whole);
}

export class PacketLogStage {
  private readonly before: (string | undefined)[] = [];
  private next = 0;

  constructor(
    private readonly host: Host,
    private readonly engine: Engine,
    private readonly captureInterfaces: readonly CaptureInterface[],
    private readonly outputs: OutputStage,
  ) {}

  /** To be called before the packets are rewritten. */
  remember(slab: Slab, columns: PacketColumns, start: number, end: number): void {
    for (let i = start; i < end; i++) this.before[i] = describePacket(slab, columns, i);
  }

  /** The line of record i, after tracking. */
  entry(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    output: Int32Array,
    position: Int32Array,
    i: number,
    extras: readonly PlacedExtra[] = NO_EXTRAS,
  ): PacketLogEntry {
    const { records } = slab;
    const verdict = VERDICT_NAMES[results.verdict[i] as number] ?? 'ignored';
    const passes = verdict === 'forward' || verdict === 'local';
    const said = this.engine.packetLogs?.take(i);
    const why = results.why[i] as number;
    return {
      i: this.next++,
      ts: timestampText(records.seconds[i] as number, records.nanoseconds[i] as number, this.digits(slab, i)),
      in: this.ingressName(results.ingress[i] as number, records.source[i] as number),
      verdict,
      why: why === 0 ? undefined : this.engine.reasons.words[why],
      state: STATE_NAMES.get(results.state[i] as number),
      nat: natText(results.nat[i] as number),
      rule: this.ruleText(columns, results, i),
      out: this.out(output[i] as number, position[i] as number, extras),
      before: this.before[i],
      after: passes ? after(slab, columns, results, i, extras) : undefined,
      logs: said?.logs,
      trace: said === undefined || said.trace.length === 0 ? undefined : said.trace,
    };
  }

  private out(to: number, record: number, extras: readonly PlacedExtra[]): PacketLogEntry['out'] {
    const own = to === NOT_WRITTEN ? [] : [{ iface: this.outputs.name(to), record }];
    const others = extras
      .filter((extra) => extra.output !== NOT_WRITTEN)
      .map((extra) => ({ iface: this.outputs.name(extra.output), record: extra.position }));
    return own.length + others.length === 0 ? undefined : [...own, ...others];
  }

  private digits(slab: Slab, i: number): number {
    if (slab.layout.kind === 'pcap') return slab.layout.nanosecond ? NANOSECONDS : MICROSECONDS;
    const resolution = this.captureInterfaces[slab.records.source[i] as number]?.tsresol;
    if (slab.layout.kind === 'gathered' || resolution === undefined)
      return slab.layout.kind === 'gathered' ? NANOSECONDS : MICROSECONDS;
    return (resolution & BINARY_RESOLUTION) !== 0 ? NANOSECONDS : Math.min(resolution, NANOSECONDS);
  }

  private ingressName(ingress: number, source: number): string | null {
    if (ingress === INGRESS_LOCAL) return LOCAL_NAME;
    if (ingress >= 0) return this.host.interfaces[ingress]?.name ?? null;
    const described = this.captureInterfaces[source];
    return described?.assignedName ?? described?.name ?? null;
  }

  private ruleText(columns: PacketColumns, results: ResultColumns, i: number): string | undefined {
    const nat = results.nat[i] as number;
    const { engine } = this;
    const names = (columns.kind[i] === KIND_IPV6 ? engine.ipv6 : engine)?.counters.names ?? [];
    const rules: string[] = [];
    if ((nat & NAT_DESTINATION) !== 0) rules.push(names[results.dnatRule[i] as number] ?? '');
    if ((nat & NAT_SOURCE) !== 0) rules.push(names[results.snatRule[i] as number] ?? '');
    const text = rules.filter((rule) => rule !== '').join('+');
    return text === '' ? undefined : text;
  }
}

function after(
  slab: Slab,
  columns: PacketColumns,
  results: ResultColumns,
  i: number,
  [first]: readonly PlacedExtra[],
): string | undefined {
  if (results.egress[i] !== EGRESS_REPLACED || first === undefined) return describePacket(slab, columns, i);
  return describeExtra(first, slab, columns, i);
}

function natText(nat: number): string | undefined {
  if (nat === 0) return undefined;
  if (nat === (NAT_SOURCE | NAT_DESTINATION)) return 'dnat+snat';
  return nat === NAT_SOURCE ? 'snat' : 'dnat';
}
