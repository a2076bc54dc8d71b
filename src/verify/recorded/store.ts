/**
 * Packets waiting for their counterparts, found by what NAT leaves alone. Memory is bounded by the matcher's window: it
 * takes out what is older, and the oldest when there are too many bytes.
 */
import type { InterfaceIndex } from '../../host/types.js';
import { type Anatomy, fragmentKey, identityOf } from './packet.js';

/** A record: its input file, its number there from 1, and when it was captured. */
export interface Origin {
  /** Index of the capture interface among the reader's. */
  readonly source: number;
  readonly frame: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Interface of the host, INGRESS_UNKNOWN if the capture does not say. */
  readonly iface: InterfaceIndex;
}

/** What the host was recorded to send. */
export interface Sent extends Origin {
  readonly packet: Anatomy;
  /** Has its counterpart, or is known to need none. */
  used: boolean;
  /** Its port was learnt for a connection: not for another one. */
  claimed: boolean;
}

/** What came in, and what natreplay says of it. */
export interface Received extends Origin {
  /** As it came in; of long packets perhaps only the beginning. */
  readonly packet: Anatomy;
  /** A word of the packet log. */
  readonly verdict: string;
  /** The rule that translated it, and why it was dropped or went past NAT; '' if there is nothing to say. */
  readonly rule: string;
  readonly why: string;
  /** Interface that it is predicted to leave by; only when forwarded. */
  readonly egress: InterfaceIndex;
  /** As it is predicted to leave; undefined when it is not forwarded. */
  readonly left: Anatomy | undefined;
  /** What it was translated to before it was dropped or delivered; undefined if it was not. */
  readonly became: Anatomy | undefined;
  used: boolean;
}

/** By identity, in the order of arrival. */
export class IdentityIndex<T extends { readonly packet: Anatomy; readonly time: number }> {
  private readonly buckets = new Map<string, T[]>();

  add(item: T): void {
    for (const key of keysOf(item.packet)) {
      const bucket = this.buckets.get(key);
      if (bucket === undefined) this.buckets.set(key, [item]);
      else bucket.push(item);
    }
  }

  /** Those that may be the packet, or what NAT made of it. */
  like(packet: Anatomy): readonly T[] {
    return this.buckets.get(identityOf(packet)) ?? [];
  }

  byKey(key: string): readonly T[] {
    return this.buckets.get(key) ?? [];
  }

  remove(item: T): void {
    for (const key of keysOf(item.packet)) {
      const bucket = this.buckets.get(key);
      if (bucket === undefined) continue;
      const at = bucket.indexOf(item);
      if (at >= 0) bucket.splice(at, 1);
      if (bucket.length === 0) this.buckets.delete(key);
    }
  }
}

/** IPv6 fragments are found by themselves, and by their datagram. */
function keysOf(packet: Anatomy): string[] {
  const key = identityOf(packet);
  return packet.isFragment && packet.version === 6 ? [key, fragmentKey(packet)] : [key];
}

/** First in, first out, without moving what is left at every step. */
export class Queue<T> {
  private items: T[] = [];
  private head = 0;

  push(item: T): void {
    this.items.push(item);
  }

  get first(): T | undefined {
    return this.items[this.head];
  }

  shift(): T | undefined {
    const item = this.items[this.head++];
    if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }
}

/** Texts, each with the time it was first noted; forgets the oldest when it is full. */
export class RecentTexts {
  private readonly times = new Map<string, number>();

  constructor(private readonly most = 200_000) {}

  add(text: string, time = 0): void {
    if (this.times.has(text)) return;
    this.times.set(text, time);
    if (this.times.size <= this.most) return;
    for (const oldest of this.times.keys()) {
      this.times.delete(oldest);
      return;
    }
  }

  has(text: string): boolean {
    return this.times.has(text);
  }

  /** Infinity if it was not noted. */
  timeOf(text: string): number {
    return this.times.get(text) ?? Number.POSITIVE_INFINITY;
  }
}
