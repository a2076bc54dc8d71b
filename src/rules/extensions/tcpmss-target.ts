/**
 * `-j TCPMSS`: lowers the maximum segment size that a SYN announces, and announces one where there is none (kernel:
 * net/netfilter/xt_TCPMSS.c).
 */
import { IPV4_TOTAL_LENGTH } from '../../packet/ipv4.js';
import { IPV6_PAYLOAD_LENGTH } from '../../packet/ipv6.js';
import { TCP_CHECKSUM, TCP_DATA_OFFSET, TCP_MIN_HEADER } from '../../packet/transport.js';
import type { PacketContext } from '../context.js';
import type { ParseContext, TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { changeHeaderWord, mend } from './dsfield.js';
import { argument, find, flag, has, option, requireOne } from './support.js';
import type { TcpOptions } from './tcp.js';
import { findMss, TCPOLEN_MSS, TCPOPT_MSS } from './tcpmss.js';

/** The size, or that of the narrowest link on the way there and back. */
export type TcpmssTarget = number | 'clamp';

const TCP_SYN = 0x02;
const MAX_HEADER = 60;
const PROTO_TCP = 6;
const PSEUDO_LENGTH_CHANGE = TCPOLEN_MSS;

/** Without an option the other side assumes this much at most (RFC 9293 section 3.7.1), so no more may be announced. */
const ASSUMED = { 4: 536, 6: 1220 } as const;

/** The kernel takes the target only beside a match that leaves nothing but SYNs. */
function requireSyn(context: ParseContext): void {
  const asksSyn = context.matches.some(({ extension, options }) => {
    const flags = extension.name === 'tcp' ? (options as TcpOptions).flags : undefined;
    return flags !== undefined && !flags.negated && (flags.value.set & TCP_SYN) !== 0;
  });
  if (!asksSyn)
    context.fail(
      'RULES_MISSING_OPTION',
      'TCPMSS is for SYN packets only',
      undefined,
      'add --syn, or --tcp-flags SYN,RST SYN',
    );
}

/** What fits through the links that the packet leaves by and its answer does; undefined if not even headers do. */
function clampTo(packet: PacketContext): number | undefined {
  const { host, family, outInterface, source } = packet;
  const mtuOf = (iface: number): number => host.interfaces[iface]?.mtu ?? Number.POSITIVE_INFINITY;
  const back = host.route(family, source);
  const mtu = Math.min(mtuOf(outInterface), back === undefined ? Number.POSITIVE_INFINITY : mtuOf(back.iface));
  const headers = (family === 4 ? 20 : 40) + TCP_MIN_HEADER;
  if (mtu <= headers) return undefined;
  return Math.min(mtu - headers, 0xffff);
}

/** A SYN without the option gets one, behind the fixed header, if it carries no data and has room for it. */
function announce(packet: PacketContext, mss: number): void {
  const { family, l4, end } = packet;
  const length = (packet.view.getUint8(l4 + TCP_DATA_OFFSET) >> 4) * 4;
  if (end - l4 > length || length >= MAX_HEADER) return;
  packet.insert(l4 + TCP_MIN_HEADER, TCPOLEN_MSS);
  // The packet lies elsewhere now.
  const { view, l3, l4: tcp } = packet;
  const size = Math.min(mss, ASSUMED[family]);
  const at = tcp + TCP_MIN_HEADER;
  const checksum = tcp + TCP_CHECKSUM;
  view.setUint8(at, TCPOPT_MSS);
  view.setUint8(at + 1, TCPOLEN_MSS);
  view.setUint16(at + 2, size);
  // The length in the pseudo header, then the new words, then the data offset.
  const segment = end - l4;
  mend(view, checksum, swap(segment), swap(segment + PSEUDO_LENGTH_CHANGE));
  mend(view, checksum, 0, view.getUint16(at, true));
  mend(view, checksum, 0, view.getUint16(at + 2, true));
  const before = view.getUint16(tcp + TCP_DATA_OFFSET, true);
  view.setUint8(tcp + TCP_DATA_OFFSET, view.getUint8(tcp + TCP_DATA_OFFSET) + 0x10);
  mend(view, checksum, before, view.getUint16(tcp + TCP_DATA_OFFSET, true));
  if (family === 4) changeHeaderWord(view, l3, IPV4_TOTAL_LENGTH, view.getUint16(l3 + IPV4_TOTAL_LENGTH) + TCPOLEN_MSS);
  else view.setUint16(l3 + IPV6_PAYLOAD_LENGTH, view.getUint16(l3 + IPV6_PAYLOAD_LENGTH) + TCPOLEN_MSS);
}

const swap = (word: number): number => ((word & 0xff) << 8) | (word >>> 8);

function change(packet: PacketContext, target: TcpmssTarget): void {
  if (packet.fragmentOffset !== 0 || packet.protocol !== PROTO_TCP) return;
  const { view, l4, end } = packet;
  const length = end - l4 < TCP_MIN_HEADER ? 0 : (view.getUint8(l4 + TCP_DATA_OFFSET) >> 4) * 4;
  const mss = target === 'clamp' ? clampTo(packet) : target;
  if (length < TCP_MIN_HEADER || end - l4 < length || mss === undefined) {
    packet.hotDrop();
    return;
  }
  const at = findMss(view, l4, l4 + length);
  if (at < 0) {
    announce(packet, mss);
    return;
  }
  const before = view.getUint16(at + 2);
  // Never more than the sender can take.
  if (before <= mss) return;
  view.setUint16(at + 2, mss);
  // The kernel mends the sum as if the option lay at an even offset, whether it does or not.
  mend(view, l4 + TCP_CHECKSUM, swap(before), swap(mss));
}

export const tcpmssTarget: TargetExtension<TcpmssTarget> = {
  kind: 'target',
  name: 'TCPMSS',
  summary: 'lowers the maximum segment size that a SYN announces',
  families: [4, 6],
  protocols: [PROTO_TCP],
  options: [option(false, '--set-mss'), flag(false, '--clamp-mss-to-pmtu')],
  // The way out has to be known.
  usableIn: (target) => (target === 'clamp' ? ['FORWARD', 'OUTPUT', 'POSTROUTING'] : undefined),
  parse(options, context) {
    requireOne(options, 'TCPMSS', context, '--set-mss', '--clamp-mss-to-pmtu');
    // iptables takes both, and then clamps.
    requireSyn(context);
    const size = find(options, '--set-mss');
    const most = context.family === 4 ? 65515 : 65495;
    const mss = size === undefined ? 0 : parseNumber(argument(size), 0, most, context);
    return has(options, '--clamp-mss-to-pmtu') ? 'clamp' : mss;
  },
  print: (target) => (target === 'clamp' ? ' --clamp-mss-to-pmtu' : ` --set-mss ${target}`),
  list: (target) => (target === 'clamp' ? 'TCPMSS clamp to PMTU' : `TCPMSS set ${target}`),
  compile: (target) => ({ kind: 'effect', apply: (packet) => change(packet, target) }),
};
