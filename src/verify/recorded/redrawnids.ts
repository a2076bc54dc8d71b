/**
 * The identification of IPv6 datagrams that the host tracks: it puts them together and cuts them again under an
 * identification of its own (kernel: ip6_fragment, ipv6_select_ident), which nobody can foretell.
 */
import { type Anatomy, ipId } from './packet.js';
import { isSame, withIdOf } from './same.js';

/** Datagrams that are remembered; their fragments leave together. */
const MOST_DATAGRAMS = 10_000;

export class RedrawnIds {
  /** The recorded identification by the predicted one, and the other way round, each with the addresses. */
  private readonly recorded = new Map<string, number>();
  private readonly predicted = new Map<string, number>();

  /**
   * True if `sent` is `left` but for an identification that was drawn anew for what came in as `incoming`, and that is
   * the one of all fragments of this datagram, and of no other one.
   */
  allows(sent: Anatomy, left: Anatomy, incoming: Anatomy): boolean {
    if (!isSameButForId(sent, left, incoming)) return false;
    const theirs = this.recorded.get(datagram(left));
    const ours = this.predicted.get(datagram(sent));
    return (theirs ?? ipId(sent)) === ipId(sent) && (ours ?? ipId(left)) === ipId(left);
  }

  /** `sent` has been found to be `left`: the other fragments have the same identification. */
  settle(sent: Anatomy, left: Anatomy): void {
    if (left.version !== 6 || !left.isFragment) return;
    remember(this.recorded, datagram(left), ipId(sent));
    remember(this.predicted, datagram(sent), ipId(left));
  }
}

/** True for a fragment that is as predicted but for its identification, if that was to be drawn anew. */
export function isSameButForId(sent: Anatomy, left: Anatomy, incoming: Anatomy): boolean {
  if (left.version !== 6 || !left.isFragment || !sent.isFragment || ipId(left) === ipId(incoming)) return false;
  return isSame(sent, withIdOf(left, sent));
}

function datagram(packet: Anatomy): string {
  const { protocol, source, destination } = packet.tuple();
  return `${protocol} ${source.join('.')} ${destination.join('.')} ${ipId(packet)}`;
}

function remember(ids: Map<string, number>, key: string, id: number): void {
  ids.set(key, id);
  if (ids.size <= MOST_DATAGRAMS) return;
  for (const oldest of ids.keys()) {
    ids.delete(oldest);
    return;
  }
}
