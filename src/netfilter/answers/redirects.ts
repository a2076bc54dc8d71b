/**
 * How often a neighbour is told that it could send its packets to the next hop itself (kernel: ip_rt_send_redirect). Who
 * does not listen hears it ever more seldom, and in the end no more.
 */

/** Milliseconds before the second redirect; before each further one twice as long. 20 ms, shifted by how many there were. */
const FIRST_PAUSE = 20;
/** Redirects that a sender ignores until it gets none any more. */
const MOST = 9;
/** Milliseconds without a packet to be redirected after which the count begins anew. */
const SILENCE = FIRST_PAUSE << (MOST + 1);
/** Senders after which those are forgotten that have been silent. */
const MANY = 65_536;

interface Told {
  /** When it was last told, or, once it gets no more, when it last ought to have been. */
  at: number;
  times: number;
}

export class RedirectLimit {
  private readonly senders = new Map<number, Told>();

  /** Whether a packet from `source` is to be answered at `now` (milliseconds, wrapping), which then counts. */
  admits(source: number, now: number): boolean {
    const told = this.senders.get(source);
    if (told === undefined) {
      if (this.senders.size >= MANY) this.forgetSilent(now);
      this.senders.set(source, { at: now, times: 1 });
      return true;
    }
    if (((now - told.at) | 0) > SILENCE) told.times = 0;
    if (told.times >= MOST) {
      told.at = now;
      return false;
    }
    if (told.times > 0 && ((now - told.at) | 0) <= FIRST_PAUSE << told.times) return false;
    told.at = now;
    told.times++;
    return true;
  }

  private forgetSilent(now: number): void {
    for (const [source, { at }] of this.senders) if (((now - at) | 0) > SILENCE) this.senders.delete(source);
  }
}
