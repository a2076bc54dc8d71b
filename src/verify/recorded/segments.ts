/**
 * One packet that was predicted, in several records.
 *
 * Segmentation offload: a large TCP packet that came in merged (GRO) may have been cut up again before tcpdump saw it
 * leave. Then what was predicted is several records (kernel: tcp_gso_segment).
 *
 * Fragments: a bridge with bridge-nf-call-iptables puts datagrams together before tcpdump sees them come in; as they leave
 * they are cut again.
 */
import { TCP_FIN, TCP_FLAGS, TCP_PSH, TCP_SEQUENCE, TCP_URG } from '../../packet/transport.js';
import { type Anatomy, ipId } from './packet.js';
import { checksumGood } from './same.js';

/** Key of the segment that begins `offset` bytes into the data of `whole`, as `identityOf` makes it. */
export function segmentKey(whole: Anatomy, offset: number): string {
  const { view, l4 } = whole;
  return `6 ${(view.getUint32(l4 + TCP_SEQUENCE) + offset) >>> 0} ${view.getUint32(l4 + 8)}`;
}

/** Data bytes of `segment` if it is the piece of `whole` that begins `offset` bytes into its data, else 0. */
export function segmentLength(whole: Anatomy, segment: Anatomy, offset: number): number {
  if (!whole.isTcp || !segment.isTcp || segment.version !== whole.version || segment.l4 !== whole.l4) return 0;
  const data = segment.length - segment.tcpPayload;
  const end = offset + data;
  const total = whole.length - whole.tcpPayload;
  if (data <= 0 || end > total || segment.tcpPayload !== whole.tcpPayload) return 0;
  return sameHeaders(whole, segment, end === total) && sameData(whole, segment, offset) && checksumGood(segment)
    ? data
    : 0;
}

function sameHeaders(whole: Anatomy, segment: Anatomy, last: boolean): boolean {
  const { l4 } = whole;
  const a = Uint8Array.from(whole.bytes.subarray(0, whole.tcpPayload));
  const b = Uint8Array.from(segment.bytes.subarray(0, whole.tcpPayload));
  // Ids count up from the first one's, or stay; whichever, they are not far.
  if (((ipId(segment) - ipId(whole)) & 0xffff) > whole.length / 8) return false;
  // PSH and FIN are on the last segment only, URG on none but the first.
  const flags = last ? TCP_URG : TCP_URG | TCP_PSH | TCP_FIN;
  for (const header of [a, b]) {
    if (whole.version === 4) {
      header.fill(0, 2, 6);
      header.fill(0, 10, 12);
    } else {
      header.fill(0, 4, 6);
    }
    header.fill(0, l4 + 4, l4 + 8);
    header[l4 + TCP_FLAGS] = (header[l4 + TCP_FLAGS] ?? 0) & ~flags;
    header.fill(0, l4 + 16, l4 + 18);
  }
  return Buffer.compare(a, b) === 0;
}

function sameData(whole: Anatomy, segment: Anatomy, offset: number): boolean {
  const from = whole.tcpPayload + offset;
  const a = whole.bytes.subarray(from);
  const b = segment.bytes.subarray(segment.tcpPayload);
  const size = Math.min(a.length, b.length);
  return Buffer.compare(a.subarray(0, size), b.subarray(0, size)) === 0;
}

/** Data bytes of `piece` if it is the fragment of the IPv4 datagram `whole` that begins at `offset`, else 0. */
export function fragmentLength(whole: Anatomy, piece: Anatomy, offset: number): number {
  if (whole.version !== 4 || piece.version !== 4 || whole.isFragment || !piece.isFragment) return 0;
  if (piece.fragmentOffset !== offset || piece.l4 !== whole.l4) return 0;
  const a = Uint8Array.from(whole.bytes.subarray(0, whole.l4));
  const b = Uint8Array.from(piece.bytes.subarray(0, whole.l4));
  for (const header of [a, b]) {
    // Length, flags and offset, checksum.
    header.fill(0, 2, 4);
    header.fill(0, 6, 8);
    header.fill(0, 10, 12);
  }
  if (Buffer.compare(a, b) !== 0 || !samePiece(whole, piece, offset)) return 0;
  return piece.length - piece.l4;
}

function samePiece(whole: Anatomy, piece: Anatomy, offset: number): boolean {
  const a = whole.bytes.subarray(whole.l4 + offset);
  const b = piece.bytes.subarray(piece.l4);
  const size = Math.min(a.length, b.length);
  return Buffer.compare(a.subarray(0, size), b.subarray(0, size)) === 0;
}
