/**
 * A table of `-m hashlimit`: a token bucket for each group of packets (kernel: net/netfilter/xt_hashlimit.c, revision 3).
 * All in 64-bit integers, as the kernel counts.
 */
import { HZ } from './clock.js';

/** What the first rule that names a table says of it. */
export interface BucketSettings {
  readonly bytes: boolean;
  readonly rateMatch: boolean;
  /** Of packets: time between two in units of 1/1000000 s; of bytes: cost of 16 bytes, of 2^32 a second. */
  readonly average: number;
  readonly burst: number;
  /** Seconds over which `rateMatch` counts. */
  readonly interval: number;
  readonly maxBuckets: number;
  /** Milliseconds that a bucket outlives its last packet, and between two looks at who has. */
  readonly expire: number;
  readonly collectEvery: number;
}

export interface Bucket {
  expires: number;
  previous: number;
  credit: bigint;
  /** Bytes: how often the credit may be filled up again. */
  refills: number;
  exceeded: boolean;
  seen: number;
}

const BITS = 64;
export const SCALE = 1_000_000;
/** CREDITS_PER_JIFFY: the power of two below 2^64 / (HZ * 86400). */
const CREDITS = 2n ** 39n;
const CREDITS_PER_UNIT = (BigInt(HZ) * CREDITS) / BigInt(SCALE);
/** CREDITS_PER_JIFFY_BYTES: the power of two below 2^32 / HZ; and of a second. */
const BYTE_CREDITS = 2n ** 24n;
const BYTE_CREDITS_SECOND = BYTE_CREDITS * BigInt(HZ);
/** Bytes are counted in chunks of 16. */
const CHUNK_SHIFT = 4;

const wrap = (value: bigint): bigint => BigInt.asUintN(BITS, value);

/** Credits that so many units of 1/1000000 s cost (user2credits). */
export const credits = (units: bigint): bigint => wrap(wrap(units) * CREDITS_PER_UNIT);

/** user2credits_byte */
export const byteCredits = (average: number): bigint => (BigInt(average) * BYTE_CREDITS_SECOND) >> 32n;

/** Bytes a second that a cost of a chunk stands for (cost_to_bytes). */
export const bytesOfCost = (cost: number): number =>
  ((cost === 0 ? 0xffffffff : Math.floor(0xffffffff / cost)) - 1) * 2 ** CHUNK_SHIFT;

/** Milliseconds as jiffies, rounded up. */
const jiffies = (milliseconds: number): number => Math.ceil((milliseconds * HZ) / 1000);

export class HashBuckets {
  private readonly buckets = new Map<string, Bucket>();
  private readonly cost: bigint;
  private readonly cap: bigint;
  /** Of `rateMatch`: packets or bytes in a second, and the most that match. */
  private readonly rate: number;
  private readonly most: number;
  private readonly lifetime: number;
  private readonly collectEvery: number;
  private collected = 0;

  constructor(readonly settings: BucketSettings) {
    const { bytes, average, burst, expire, collectEvery } = settings;
    this.cost = bytes ? byteCredits(average) : credits(BigInt(average));
    this.cap = bytes ? BYTE_CREDITS_SECOND : credits(BigInt(average) * BigInt(burst));
    this.rate = bytes ? bytesOfCost(average) : Math.floor(SCALE / average);
    this.most = bytes ? this.rate * (burst === 0 ? 1 : burst) : burst + this.rate;
    this.lifetime = jiffies(expire);
    this.collectEvery = Math.max(1, jiffies(collectEvery));
  }

  /** The group's bucket as it is at jiffy `now`, before the packet; undefined where the table is full. */
  bucket(key: string, now: number): Bucket | undefined {
    const known = this.buckets.get(key);
    if (known !== undefined && !this.isCollected(known, now)) {
      known.expires = now + this.lifetime;
      this.refill(known, now);
      return known;
    }
    if (known === undefined && this.buckets.size >= this.settings.maxBuckets && !this.collect(now)) return undefined;
    const fresh = {
      expires: now + this.lifetime,
      previous: now,
      credit: this.cap,
      refills: this.settings.burst,
      exceeded: false,
      seen: 0,
    };
    this.buckets.set(key, fresh);
    return fresh;
  }

  /** Whether the packet is within the limit; takes what it costs. */
  takes(bucket: Bucket, length: number, bytes: boolean, rateMatch: boolean): boolean {
    if (rateMatch) {
      bucket.seen += bytes ? length : 1;
      return !bucket.exceeded && bucket.seen <= this.most;
    }
    const cost = bytes ? this.byteCost(bucket, length) : this.cost;
    if (bucket.credit < cost) return false;
    bucket.credit -= cost;
    return true;
  }

  private byteCost(bucket: Bucket, length: number): bigint {
    const whole = BigInt((length >> CHUNK_SHIFT) + 1) * this.cost;
    const cost = whole > BYTE_CREDITS_SECOND ? BYTE_CREDITS_SECOND : whole;
    if (bucket.credit < cost && bucket.refills > 0) {
      bucket.refills--;
      bucket.credit = BYTE_CREDITS_SECOND;
    }
    return cost;
  }

  private refill(bucket: Bucket, now: number): void {
    const passed = now - bucket.previous;
    if (passed === 0) return;
    const { bytes, rateMatch, interval } = this.settings;
    if (rateMatch) {
      if (passed < interval * HZ) return;
      bucket.exceeded = bucket.seen * interval * HZ > passed * this.rate;
      bucket.seen = 0;
      bucket.previous = now;
      return;
    }
    bucket.previous = now;
    const credit = wrap(bucket.credit + BigInt(passed) * (bytes ? BYTE_CREDITS : CREDITS));
    bucket.credit = credit > this.cap ? this.cap : credit;
  }

  /** The kernel looks for idle buckets every now and then; one that it found is there no more. */
  private isCollected({ expires }: Bucket, now: number): boolean {
    return expires <= now - (now % this.collectEvery);
  }

  /** Removes idle buckets; true where there is room again. */
  private collect(now: number): boolean {
    if (now - this.collected >= this.collectEvery) {
      this.collected = now - (now % this.collectEvery);
      for (const [key, bucket] of this.buckets) if (this.isCollected(bucket, now)) this.buckets.delete(key);
    }
    return this.buckets.size < this.settings.maxBuckets;
  }
}
