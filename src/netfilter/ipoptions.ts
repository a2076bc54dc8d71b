/**
 * IPv4 options on the way through a router (RFC 791 section 3.1; kernel: ip_options_compile, ip_forward_options,
 * ip_options_fragment). KERNEL.md E7, E8.
 *
 * The kernel looks at them after routing: it drops what is malformed or asks for source routing, writes its address
 * and the time into record-route and timestamp options, and, where the packet is sent on, the address it leaves by into
 * record-route.
 */
import { IPV4_MIN_HEADER, ipv4HeaderLength } from '../packet/ipv4.js';
import { writeHeaderChecksum } from './defrag/ipv4.js';

export const IPOPT_END = 0;
export const IPOPT_NOOP = 1;
export const IPOPT_RR = 7;
export const IPOPT_TIMESTAMP = 68;
export const IPOPT_CIPSO = 134;
export const IPOPT_LSRR = 131;
export const IPOPT_SSRR = 137;
export const IPOPT_RA = 148;

/** Bit of an option's type: it is copied into every fragment. */
const COPIED = 0x80;
/** Low half of a timestamp option's fourth byte: what is recorded; the high half counts hosts that found no room. */
const TS_ONLY = 0;
const TS_AND_ADDRESS = 1;
const TS_PRESPECIFIED = 3;
const DAY_SECONDS = 86_400;

/** Where the packet is, as far as options ask. Addresses are numbers in host order. */
export interface OptionsHost {
  /** What the host calls itself towards the packet's sender (kernel: fib_compute_spec_dst). */
  ownAddress(): number;
  /** Whether an address is somebody else's (kernel: inet_addr_type is RTN_UNICAST). */
  isUnicast(address: number): boolean;
}

/** What has to be done with the options when the packet is sent on. */
export interface CompiledOptions {
  /**
   * Offset in the view where the egress address is to be written, 0 for nowhere. Only record-route has one: beside a
   * timestamp the kernel leaves what the host calls itself towards the sender.
   */
  readonly recordAt: number;
  /** Bytes were changed: the header checksum has to be reckoned anew. */
  readonly changed: boolean;
}

export type OptionsFault = 'malformed-options' | 'source-route';

/** Later fragments carry only the options that say so; the others' bytes become no-operations. */
export function blankUncopiedOptions(header: Uint8Array, headerLength: number): void {
  for (let at = IPV4_MIN_HEADER; at < headerLength; ) {
    const type = header[at] as number;
    if (type === IPOPT_END) return;
    if (type === IPOPT_NOOP) {
      at++;
      continue;
    }
    const length = header[at + 1] ?? 0;
    if (length < 2 || at + length > headerLength) return;
    if ((type & COPIED) === 0) header.fill(IPOPT_NOOP, at, at + length);
    at += length;
  }
}

/** Milliseconds since midnight UTC, as timestamp options count time (RFC 791). */
const millisecondsOfDay = (seconds: number, nanoseconds: number): number =>
  (((seconds % DAY_SECONDS) + DAY_SECONDS) % DAY_SECONDS) * 1000 + Math.floor(nanoseconds / 1_000_000);

/**
 * Reads and fills in the options of the header at `ip`. `seconds`, `nanoseconds`: capture time. The header checksum
 * stays as it is: the kernel reckons it anew only when it sends the packet on (`forwardOptions`).
 */
export function compileOptions(
  view: DataView,
  ip: number,
  host: OptionsHost,
  seconds: number,
  nanoseconds: number,
): CompiledOptions | OptionsFault {
  return new OptionsReader(view, ip, host, millisecondsOfDay(seconds, nanoseconds)).read();
}

class OptionsReader implements CompiledOptions {
  recordAt = 0;
  changed = false;
  private sourceRoute = false;
  private hasRecord = false;
  private hasTimestamp = false;

  constructor(
    private readonly view: DataView,
    private readonly ip: number,
    private readonly host: OptionsHost,
    private readonly time: number,
  ) {}

  read(): CompiledOptions | OptionsFault {
    const { view, ip } = this;
    const end = ip + ipv4HeaderLength(view, ip);
    for (let at = ip + IPV4_MIN_HEADER; at < end; ) {
      const type = view.getUint8(at);
      if (type === IPOPT_END) {
        this.clearPadding(at + 1, end);
        break;
      }
      if (type === IPOPT_NOOP) {
        at++;
        continue;
      }
      if (at + 2 > end) return 'malformed-options';
      const length = view.getUint8(at + 1);
      if (length < 2 || at + length > end || !this.option(type, at, length)) return 'malformed-options';
      at += length;
    }
    return this.sourceRoute ? 'source-route' : this;
  }

  private clearPadding(from: number, end: number): void {
    for (let at = from; at < end; at++) {
      if (this.view.getUint8(at) === IPOPT_END) continue;
      this.view.setUint8(at, IPOPT_END);
      this.changed = true;
    }
  }

  private option(type: number, at: number, length: number): boolean {
    switch (type) {
      case IPOPT_LSRR:
      case IPOPT_SSRR: {
        if (length < 3 || this.view.getUint8(at + 2) < 4 || this.sourceRoute) return false;
        this.sourceRoute = true;
        return true;
      }
      case IPOPT_RR:
        return this.recordRoute(at, length);
      case IPOPT_TIMESTAMP:
        return this.timestamp(at, length);
      case IPOPT_RA:
        return length >= 4;
      case IPOPT_CIPSO:
        // Labels of a domain that nobody has configured (cipso_v4_validate).
        return false;
      default:
        return true;
    }
  }

  /** The third byte of the option, counted from 1, points at the next free slot. */
  private recordRoute(at: number, length: number): boolean {
    const { view } = this;
    if (this.hasRecord || length < 3) return false;
    const pointer = view.getUint8(at + 2);
    if (pointer < 4) return false;
    this.hasRecord = true;
    if (pointer > length) return true;
    if (pointer + 3 > length) return false;
    view.setUint32(at + pointer - 1, this.host.ownAddress());
    view.setUint8(at + 2, pointer + 4);
    this.changed = true;
    this.recordAt = at + pointer - 1;
    return true;
  }

  private timestamp(at: number, length: number): boolean {
    const { view } = this;
    if (this.hasTimestamp || length < 4) return false;
    const pointer = view.getUint8(at + 2);
    if (pointer < 5) return false;
    this.hasTimestamp = true;
    const flags = view.getUint8(at + 3);
    if (pointer <= length) return pointer + 3 <= length && this.stamp(at, length, pointer, flags & 15);
    if ((flags & 15) === TS_PRESPECIFIED) return true;
    if (flags >> 4 === 15) return false;
    view.setUint8(at + 3, flags + 16);
    this.changed = true;
    return true;
  }

  private stamp(at: number, length: number, pointer: number, kind: number): boolean {
    const { view } = this;
    const slot = at + pointer - 1;
    if (kind === TS_ONLY) {
      this.writeTime(slot);
      view.setUint8(at + 2, pointer + 4);
      return true;
    }
    if (kind !== TS_AND_ADDRESS && kind !== TS_PRESPECIFIED) return true;
    if (pointer + 7 > length) return false;
    if (kind === TS_AND_ADDRESS) {
      view.setUint32(slot, this.host.ownAddress());
    } else if (this.host.isUnicast(view.getUint32(slot))) {
      return true;
    }
    this.writeTime(slot + 4);
    view.setUint8(at + 2, pointer + 8);
    return true;
  }

  private writeTime(at: number): void {
    this.view.setUint32(at, this.time);
    this.changed = true;
  }
}

/** Writes the address the packet leaves by, and the header checksum (kernel: ip_forward_options). */
export function forwardOptions(view: DataView, ip: number, options: CompiledOptions, egressAddress: number): void {
  if (options.recordAt !== 0) view.setUint32(options.recordAt, egressAddress);
  if (options.changed) writeHeaderChecksum(view, ip, ipv4HeaderLength(view, ip));
}
