/**
 * Time as stateful matches count it: the kernel's jiffies, from the capture's clock. Debian builds its kernels with 250 a
 * second. Never runs backwards, as the capture's clock doesn't.
 */
import type { PacketContext } from '../context.js';

export const HZ = 250;

const NANOSECONDS_PER_JIFFY = 1e9 / HZ;
const MILLISECONDS_PER_JIFFY = 1000 / HZ;

export class JiffyClock {
  private last = 0;
  private first: number | undefined;
  private milliseconds = 0;

  /** Jiffies since the capture's first packet. */
  now(packet: PacketContext): number {
    const jiffies = packet.now === undefined ? this.sinceFirst(packet) : this.unwrapped(packet.now);
    if (jiffies > this.last) this.last = jiffies;
    return this.last;
  }

  /** `now` wraps after 49 days. */
  private unwrapped(now: number): number {
    const passed = (now - this.milliseconds) | 0;
    if (passed > 0) this.milliseconds += passed;
    return Math.floor(this.milliseconds / MILLISECONDS_PER_JIFFY);
  }

  private sinceFirst({ seconds, nanoseconds }: PacketContext): number {
    const jiffies = seconds * HZ + Math.floor(nanoseconds / NANOSECONDS_PER_JIFFY);
    this.first ??= jiffies;
    return jiffies - this.first;
  }
}
