/**
 * Pairs what is predicted to leave with what was recorded to leave. A prediction and its record need not come close to
 * each other: both wait until everything that could be their counterpart has been seen, then what is left is a
 * disagreement, and goes to the findings with the likeliest counterpart.
 *
 *                   judged up to here ▼
 *   ... settled ... | waiting predictions |   look-ahead: records already known   | not read yet
 *                 -1 s                    0                                      +1 s
 */
import { INGRESS_UNKNOWN } from '../../netfilter/results.js';
import type { Findings } from './findings.js';
import { AHEAD_MS } from './lookahead.js';
import type { Anatomy } from './packet.js';
import { fragmentKey, hopLimit, ipId, sameContent } from './packet.js';
import { isSameButForId, RedrawnIds } from './redrawnids.js';
import { differences, isSame } from './same.js';
import { fragmentLength, segmentKey, segmentLength } from './segments.js';
import { IdentityIndex, Queue, type Received, type Sent } from './store.js';

/** A record stays this long for predictions that come after it: behind it in time, or by another clock. */
const SENT_STAYS_MS = 2 * AHEAD_MS;
/** And what came in, until no record that might be its translation is left. */
const RECEIVED_STAYS_MS = 3 * AHEAD_MS;
/** Copies of one packet on several interfaces are recorded within this time. */
const COPY_MS = 100;
/** Of packets that look alike, so many are compared. */
const MOST_CANDIDATES = 1024;
/** Bytes of packets that may wait; beyond, the oldest are settled early. */
const MOST_BYTES = 192 * 1024 * 1024;
/** What an object in the index takes besides its bytes, roughly. */
const OVERHEAD = 400;

export class Matcher {
  agreed = 0;
  readonly sent = new IdentityIndex<Sent>();
  private readonly received = new IdentityIndex<Received>();
  private readonly sentQueue = new Queue<Sent>();
  private readonly settledQueue = new Queue<Sent>();
  private readonly receivedQueue = new Queue<Received>();
  private readonly openQueue = new Queue<Received>();
  private readonly redrawn = new RedrawnIds();
  private bytes = 0;

  constructor(private readonly findings: Findings) {}

  /** A record that the host sent has been read. */
  addSent(item: Sent): void {
    this.sent.add(item);
    this.sentQueue.push(item);
    this.bytes += item.packet.bytes.length + OVERHEAD;
  }

  /**
   * What the host sent, when it is exactly this packet: it is settled. Else the caller gives it to `addReceived`, with
   * copies of its bytes. `incoming` is what came in.
   */
  settlesAtOnce(left: Anatomy, egress: number, incoming: Anatomy): Sent | undefined {
    const found = this.findSame(left, egress, incoming);
    if (found === undefined) return undefined;
    found.used = true;
    this.agreed++;
    return found;
  }

  /** A packet that came in and is not settled: it is not predicted to leave, or not yet seen to. */
  addReceived(item: Received): void {
    this.received.add(item);
    this.receivedQueue.push(item);
    this.bytes += item.packet.bytes.length + (item.left?.bytes.length ?? 0) + OVERHEAD;
    if (item.left !== undefined) this.openQueue.push(item);
  }

  /** Settles what is so old at `now` that nothing more can come for it; at the end, everything (Infinity). */
  settle(now: number): void {
    for (;;) {
      const open = this.openQueue.first;
      if (open === undefined || open.time > now - AHEAD_MS) break;
      this.openQueue.shift();
      this.settlePrediction(open);
    }
    for (;;) {
      const sent = this.sentQueue.first;
      if (sent === undefined || (sent.time > now - SENT_STAYS_MS && this.bytes < MOST_BYTES)) break;
      this.sentQueue.shift();
      if (!sent.used) this.settleSent(sent);
      this.settledQueue.push(sent);
    }
    // Copies come a little later, and are known by what they are copies of.
    for (;;) {
      const sent = this.settledQueue.first;
      if (sent === undefined || (sent.time > now - SENT_STAYS_MS - 2 * COPY_MS && this.bytes < MOST_BYTES)) break;
      this.settledQueue.shift();
      this.sent.remove(sent);
      this.bytes -= sent.packet.bytes.length + OVERHEAD;
    }
    for (;;) {
      const received = this.receivedQueue.first;
      if (received === undefined || (received.time > now - RECEIVED_STAYS_MS && this.bytes < MOST_BYTES)) break;
      this.receivedQueue.shift();
      this.received.remove(received);
      this.bytes -= received.packet.bytes.length + (received.left?.bytes.length ?? 0) + OVERHEAD;
    }
  }

  /** The same packet on the same interface; a record whose interface is not known will do. */
  private findSame(left: Anatomy, egress: number, incoming: Anatomy): Sent | undefined {
    const found = this.firstSame(left, egress, incoming);
    if (found !== undefined) this.redrawn.settle(found.packet, left);
    return found;
  }

  private firstSame(left: Anatomy, egress: number, incoming: Anatomy): Sent | undefined {
    let unknown: Sent | undefined;
    const alike = this.sent.like(left);
    for (let k = 0; k < alike.length && k < MOST_CANDIDATES; k++) {
      const candidate = alike[k] as Sent;
      if (candidate.used || !onInterface(candidate, egress)) continue;
      if (!isSame(candidate.packet, left) && !this.redrawn.allows(candidate.packet, left, incoming)) continue;
      if (candidate.iface === egress) return candidate;
      unknown ??= candidate;
    }
    return unknown;
  }

  private settlePrediction(open: Received): void {
    const { left } = open;
    if (left === undefined || open.used) return;
    const found = this.findSame(left, open.egress, open.packet);
    if (found !== undefined) {
      found.used = true;
      open.used = true;
      this.agreed++;
      this.findings.agrees(open.packet);
      return;
    }
    if (this.findPieces(left, open.egress)) {
      open.used = true;
      this.agreed++;
      return;
    }
    open.used = true;
    if (this.wasSentAlready(left, open)) {
      this.findings.setAside.copies++;
      return;
    }
    // Between ports of one bridge: it neither leaves the bridge nor is it recorded a second time.
    if (open.egress === open.iface && isSame(open.packet, left)) {
      this.findings.setAside.bridged++;
      return;
    }
    const like = this.likeliest(open, left);
    if (like === undefined) {
      this.findings.missing(open);
    } else {
      like.used = true;
      this.findings.differs(open, like);
    }
  }

  /** True when records that follow one another are the packet cut into segments, or fragments. */
  private findPieces(whole: Anatomy, egress: number): boolean {
    if (whole.isFragment) return false;
    const total = whole.length - (whole.isTcp ? whole.tcpPayload : whole.l4);
    const lengthOf = whole.isTcp ? segmentLength : fragmentLength;
    const pieces: Sent[] = [];
    for (let offset = 0; offset < total; ) {
      const piece = this.sent
        .byKey(whole.isTcp ? segmentKey(whole, offset) : fragmentKey(whole))
        .find((each) => !each.used && onInterface(each, egress) && lengthOf(whole, each.packet, offset) > 0);
      if (piece === undefined) return false;
      pieces.push(piece);
      offset += lengthOf(whole, piece.packet, offset);
    }
    for (const piece of pieces) piece.used = true;
    return pieces.length > 1;
  }

  /** The incoming record is there twice (an interface and a VLAN or bridge on it), the outgoing one once. */
  private wasSentAlready(left: Anatomy, open: Received): boolean {
    return this.sent
      .like(left)
      .some(
        (each) =>
          each.used &&
          Math.abs(each.time - open.time) < COPY_MS &&
          (isSame(each.packet, left) || isSameButForId(each.packet, left, open.packet)),
      );
  }

  /** The record that is the same packet translated or sent otherwise: that with the fewest fields that differ. */
  private likeliest(open: Received, left: Anatomy): Sent | undefined {
    let best: Sent | undefined;
    let bestScore = Number.POSITIVE_INFINITY;
    const alike = this.sent.like(left);
    for (let k = 0; k < alike.length && k < MOST_CANDIDATES; k++) {
      const candidate = alike[k] as Sent;
      if (candidate.used || candidate.time < open.time - COPY_MS || !sameContent(candidate.packet, open.packet))
        continue;
      const score =
        differences(candidate.packet, left).length +
        (onInterface(candidate, open.egress) ? 0 : 1) +
        (candidate.time - open.time) / AHEAD_MS / 4;
      if (score < bestScore) {
        best = candidate;
        bestScore = score;
      }
    }
    return best;
  }

  /** A record that no prediction claimed. */
  private settleSent(sent: Sent): void {
    sent.used = true;
    if (this.isCopy(sent)) {
      this.findings.setAside.copies++;
      return;
    }
    const cause = this.causeOf(sent);
    if (cause === undefined) {
      this.findings.unexplained(sent);
    } else if (cause.packet.bytes.length > 0 && isSame(sent.packet, cause.packet)) {
      cause.used = true;
      this.findings.setAside.bridged++;
    } else {
      cause.used = true;
      this.findings.differs(cause, sent);
    }
  }

  private isCopy(sent: Sent): boolean {
    return this.sent
      .like(sent.packet)
      .some(
        (each) =>
          each !== sent &&
          each.used &&
          (each.iface !== sent.iface || sent.iface === INGRESS_UNKNOWN) &&
          Math.abs(each.time - sent.time) < COPY_MS &&
          isSame(each.packet, sent.packet),
      );
  }

  /** What came in and was not predicted to leave, though here it is. */
  private causeOf(sent: Sent): Received | undefined {
    return this.received.like(sent.packet).find(
      (each) =>
        !each.used &&
        each.left === undefined &&
        each.time <= sent.time + COPY_MS &&
        sent.time - each.time < SENT_STAYS_MS &&
        // What was overheard can only have been passed on by a bridge, as it is.
        (each.why === 'other-host' ? isSame(sent.packet, each.packet) : isForwarded(sent.packet, each.packet)),
    );
  }
}

/**
 * A program on the host may pass data on in a packet of its own (a proxy, an echo service): that has another id, and a
 * TTL that begins anew.
 */
function isForwarded(sent: Anatomy, received: Anatomy): boolean {
  const hops = hopLimit(received) - hopLimit(sent);
  // The host draws identifications of IPv6 fragments anew.
  const sameId = sent.version === 6 || ipId(sent) === ipId(received);
  return (hops === 1 || hops === 0) && sameId && sameContent(sent, received);
}

const onInterface = (sent: Sent, egress: number): boolean =>
  sent.iface === egress || sent.iface === INGRESS_UNKNOWN || egress < 0;
