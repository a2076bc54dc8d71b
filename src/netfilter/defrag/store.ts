/**
 * The datagrams that wait for fragments: how long, and how much memory they may take (kernel: struct fqdir,
 * inet_frag_find, ip_expire). Capture time is the clock.
 */

export interface DefragLimits {
  /** Milliseconds that a datagram is waited for, from its first fragment on. */
  readonly timeout: number;
  /** Bytes of kernel memory above which fragments are dropped (ipfrag_high_thresh). */
  readonly memory: number;
}

/** What the store keeps of a datagram besides what its owner does. */
export interface Waiting {
  /** Capture time of its first fragment, milliseconds. */
  since: number;
  /** Kernel memory its fragments take. */
  memory: number;
  /** Fragments that wait. */
  fragments: number;
}

/**
 * What a fragment of `length` bytes takes of the kernel's memory (skb->truesize). It depends on the driver: this is a
 * buffer with 64 bytes of headroom and the kernel's own 320 at its end, rounded up to a power of two as kmalloc does,
 * and 256 for its descriptor.
 */
export function truesize(length: number): number {
  let buffer = 512;
  while (buffer < length + 64 + 320) buffer *= 2;
  return buffer + 256;
}

/** Kernel memory of a datagram that waits, without its fragments (struct ipq, about). */
const QUEUE_BYTES = 200;

export class WaitingDatagrams<T extends Waiting> {
  /** Datagrams that were given up because their time was over, and the fragments they had. */
  expired = 0;
  expiredFragments = 0;
  private memory = 0;
  /** In the order in which they expire: all wait equally long. */
  private readonly datagrams = new Map<string, T>();

  constructor(
    private readonly limits: DefragLimits,
    private readonly create: () => T,
    /** Asked about each datagram that is given up because its time was over. */
    private readonly onExpiry: (datagram: T) => void = () => {},
  ) {}

  /** Datagrams and fragments that wait. */
  get waiting(): { readonly datagrams: number; readonly fragments: number } {
    let fragments = 0;
    for (const datagram of this.datagrams.values()) fragments += datagram.fragments;
    return { datagrams: this.datagrams.size, fragments };
  }

  /** The datagram a fragment belongs to, a new one if it is the first; undefined when there is no memory for it. */
  find(key: string, now: number): T | undefined {
    this.expire(now);
    if (this.memory > this.limits.memory || this.limits.memory === 0) return undefined;
    const known = this.datagrams.get(key);
    if (known !== undefined) return known;
    const fresh = this.create();
    fresh.since = now;
    fresh.memory = 0;
    this.charge(fresh, QUEUE_BYTES);
    this.datagrams.set(key, fresh);
    return fresh;
  }

  /** Accounts for a fragment of `length` bytes that now waits. */
  keep(datagram: T, length: number): void {
    datagram.fragments++;
    this.charge(datagram, truesize(length));
  }

  /** Gives back what the fragments of a datagram take, and lets its time begin again. */
  restart(key: string, datagram: T, now: number): void {
    this.remove(key, datagram);
    datagram.since = now;
    datagram.fragments = 0;
    datagram.memory = 0;
    this.charge(datagram, QUEUE_BYTES);
    this.datagrams.set(key, datagram);
  }

  remove(key: string, datagram: T): void {
    this.datagrams.delete(key);
    this.memory -= datagram.memory;
  }

  /** Gives up what has waited too long at `now`. */
  expire(now: number): void {
    for (const [key, datagram] of this.datagrams) {
      if (now - datagram.since < this.limits.timeout) return;
      this.expired++;
      this.expiredFragments += datagram.fragments;
      this.remove(key, datagram);
      this.onExpiry(datagram);
    }
  }

  private charge(datagram: T, bytes: number): void {
    datagram.memory += bytes;
    this.memory += bytes;
  }
}
