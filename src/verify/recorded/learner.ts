/**
 * The ports that a real host drew at random, learnt from what it sent: the first outgoing packet of a connection shows
 * the port, and its content (sequence numbers, payload) says which incoming packet it was.
 */
import type { PortChoice, PortChooser, PortRefusal } from '../../netfilter/nat/portchoice.js';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../../packet/transport.js';
import { sameAddress, Tuple } from '../../packet/tuple.js';
import type { LearntPorts } from '../../report/types.js';
import { type Anatomy, fragmentKey, ipId, isSyn, sameContent } from './packet.js';
import type { IdentityIndex, Sent } from './store.js';

/** A packet may be recorded a little earlier than the one that caused it when two clocks or buffers took part. */
const CLOCK_SLACK_MS = 10;
/** Of packets that look alike, so many are looked at. */
const MOST_CANDIDATES = 1024;

/** Answers in the order in which they were asked for: a second run over the same captures asks the same again. */
export interface PortAnswers {
  readonly chosen: (number | undefined)[];
  readonly overruled: Map<number, number>;
}

export class PortLearner implements PortChooser {
  readonly counts: LearntPorts = { learnt: 0, unknown: 0, refused: 0, unforeseen: 0 };
  readonly answers: PortAnswers = { chosen: [], overruled: new Map() };
  /** The port these rules would have kept, where the current packet's connection was given another one. */
  kept: number | undefined;
  /** The host kept the current connection's port, though these rules draw one; and how likely that was by chance. */
  undrawn: number | undefined;
  private packet: Anatomy | undefined;
  private time = 0;
  /** What the host sent in place of the current packet, once found. */
  private own: Sent | undefined;
  private asked = false;
  private overruleCalls = 0;
  private readonly tuple = new Tuple();
  /** Tuples that connections have, as they look outside: the same one does not belong to another. */
  private readonly claims = new Map<string, number>();

  /** `wasBegun`: the connection that a packet belongs to has its beginning in the captures. */
  constructor(
    private readonly sent: IdentityIndex<Sent>,
    private readonly wasBegun: (packet: Anatomy) => boolean = () => false,
  ) {}

  /** The packet that the engine is about to be asked about. */
  begin(packet: Anatomy, time: number): void {
    this.packet = packet;
    this.time = time;
    this.own = undefined;
    this.asked = false;
    this.kept = undefined;
    this.undrawn = undefined;
  }

  choose(choice: PortChoice): number | undefined {
    this.asked = true;
    const seen = this.find(choice);
    const port = seen === undefined ? undefined : this.portOf(seen, choice);
    if (port === undefined) this.counts.unknown++;
    else this.counts.learnt++;
    if (port === choice.mapping.sourcePort && choice.manipulation === 'src') this.undrawn = 1 / choice.count;
    this.answers.chosen.push(port);
    return port;
  }

  refused(_choice: PortChoice, _port: number, _why: PortRefusal): void {
    this.counts.learnt--;
    this.counts.refused++;
  }

  overrule(choice: PortChoice): number | undefined {
    const call = this.overruleCalls++;
    const { packet } = this;
    // A packet in the middle of a connection that began otherwise than predicted shows where that led, not a draw.
    if (this.asked || packet === undefined || (packet.isTcp && !isSyn(packet) && this.wasBegun(packet)))
      return undefined;
    const seen = this.find(choice, choice.mapping.sourcePort);
    if (seen === undefined) return undefined;
    const port = this.portOf(seen, choice);
    if (port === choice.mapping.sourcePort) return undefined;
    this.kept = choice.mapping.sourcePort;
    this.counts.unforeseen++;
    this.answers.overruled.set(call, port);
    return port;
  }

  /** Forgets claims made before `time`. */
  forget(time: number): void {
    for (const [key, when] of this.claims) {
      if (when >= time) return;
      this.claims.delete(key);
    }
  }

  /**
   * The first packet that the host sent in place of the current one, as far as the mapping is known: best one with the
   * port expected, then one with the same IP id; without that it is a retransmission, the first one being lost.
   */
  private find(choice: PortChoice, expected?: number): Sent | undefined {
    const { packet } = this;
    if (packet === undefined || packet.isIcmpError) return undefined;
    let best: Sent | undefined;
    let bestRank = 0;
    const alike = this.alike(packet);
    for (let k = 0; k < alike.length && k < MOST_CANDIDATES; k++) {
      const candidate = alike[k] as Sent;
      if (!this.fits(candidate, packet, choice)) continue;
      const sameId = ipId(candidate.packet) === ipId(packet);
      const rank = 1 + (sameId ? 1 : 0) + (this.portOf(candidate, choice) === expected ? 2 : 0);
      if (rank > bestRank) {
        best = candidate;
        bestRank = rank;
      }
    }
    return best === undefined ? undefined : this.claim(best);
  }

  /** A datagram that leaves in fragments shows its ports in the first of them. */
  private alike(packet: Anatomy): readonly Sent[] {
    const like = this.sent.like(packet);
    if (!packet.isFragment) return like.length > 0 ? like : this.sent.byKey(fragmentKey(packet));
    if (packet.version === 4) return like;
    // All fragments have an identification of the host's own, and one of them the content of this one.
    return like
      .slice(0, MOST_CANDIDATES)
      .filter((each) => sameContent(each.packet, packet))
      .flatMap((each) => this.sent.byKey(fragmentKey(each.packet)).filter(isFirst));
  }

  private fits(candidate: Sent, packet: Anatomy, { manipulation, mapping }: PortChoice): boolean {
    const own = candidate === this.own;
    if (candidate.used || candidate.time < this.time - CLOCK_SLACK_MS || (candidate.claimed && !own)) return false;
    const tuple = candidate.packet.tuple(this.tuple);
    if (tuple.protocol !== mapping.protocol || !sameAddress(tuple.destination, mapping.destination)) return false;
    if (manipulation === 'src') {
      if (!sameAddress(tuple.source, mapping.source)) return false;
      if (!isIcmp(tuple.protocol) && tuple.destinationPort !== mapping.destinationPort) return false;
    }
    return (own || !this.claims.has(claimKey(tuple))) && isTranslated(candidate.packet, packet);
  }

  private claim(seen: Sent): Sent {
    this.own = seen;
    seen.claimed = true;
    this.claims.set(claimKey(seen.packet.tuple(this.tuple)), seen.time);
    return seen;
  }

  private portOf(seen: Sent, { manipulation }: PortChoice): number {
    const tuple = seen.packet.tuple(this.tuple);
    return manipulation === 'src' || isIcmp(tuple.protocol) ? tuple.sourcePort : tuple.destinationPort;
  }
}

function isTranslated(sent: Anatomy, packet: Anatomy): boolean {
  if (!sent.isFragment) return sameContent(sent, packet);
  // Of IPv6, `alike` has found it by its content.
  const sameId = ipId(sent) === ipId(packet) || (packet.version === 6 && packet.isFragment);
  return sent.fragmentOffset === 0 && sameId;
}

const isFirst = ({ packet }: Sent): boolean => packet.fragmentOffset === 0;

const isIcmp = (protocol: number): boolean => protocol === PROTO_ICMP || protocol === PROTO_ICMPV6;

const claimKey = ({ protocol, source, sourcePort, destination, destinationPort }: Tuple): string =>
  `${protocol} ${source.join('.')} ${sourcePort} ${destination.join('.')} ${destinationPort}`;

/** Gives the answers of an earlier run over the same captures and rules. */
export class RememberedPorts implements PortChooser {
  private next = 0;
  private overruleCalls = 0;

  constructor(private readonly answers: PortAnswers) {}

  choose(): number | undefined {
    return this.answers.chosen[this.next++];
  }

  overrule(): number | undefined {
    return this.answers.overruled.get(this.overruleCalls++);
  }
}
