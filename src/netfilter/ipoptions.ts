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
export const TS_PRESPECIFIED = 3;
const DAY_SECONDS = 86_400;
/** Which byte of an option is at fault, counted from its type; SOUND if none is. */
const SOUND = -1;
const TYPE = 0;
const LENGTH = 1;
const POINTER = 2;
const OVERFLOW = 3;
const DOMAIN = 2;

/** Where the packet is, as far as options ask. Addresses are numbers in host order. */
export interface OptionsHost {
  /** What the host calls itself towards the packet's sender (kernel: fib_compute_spec_dst). */
  ownAddress(): number;
  /** Whether an address is somebody else's (kernel: inet_addr_type is RTN_UNICAST). */
  isUnicast(address: number): boolean;
}

export type OptionsFault = 'malformed-options' | 'source-route';

/** What was read: what has to be done when the packet is sent on, and what an answer to it echoes. */
export interface CompiledOptions {
  /** Why the packet is dropped. */
  readonly fault: OptionsFault | undefined;
  /** Of malformed options: where the fault is, from the start of the IP header (RFC 792, parameter problem). */
  readonly faultAt: number;
  /**
   * Offset in the view where the egress address is to be written, 0 for nowhere. Only record-route has one: beside a
   * timestamp the kernel leaves what the host calls itself towards the sender.
   */
  readonly recordAt: number;
  /** Bytes were changed: the header checksum has to be reckoned anew. */
  readonly changed: boolean;
  /** Offset in the view of the record-route option, 0 without, and whether the host has its address in there. */
  readonly record: number;
  readonly recordTakesAddress: boolean;
  /** The same of the timestamp option. */
  readonly timestamp: number;
  readonly timestampTakesAddress: boolean;
  readonly timestampTakesTime: boolean;
  /** Offset in the view of a security label, 0 without: one that an answer echoes, as the packet is dropped for it. */
  readonly label: number;
}

/** Of a packet that has none. */
export const NO_OPTIONS: CompiledOptions = {
  fault: undefined,
  faultAt: 0,
  recordAt: 0,
  changed: false,
  record: 0,
  recordTakesAddress: false,
  timestamp: 0,
  timestampTakesAddress: false,
  timestampTakesTime: false,
  label: 0,
};

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
export const millisecondsOfDay = (seconds: number, nanoseconds: number): number =>
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
): CompiledOptions {
  return new OptionsReader(view, ip, host, millisecondsOfDay(seconds, nanoseconds)).read();
}

class OptionsReader implements CompiledOptions {
  fault: OptionsFault | undefined;
  faultAt = 0;
  recordAt = 0;
  changed = false;
  record = 0;
  recordTakesAddress = false;
  timestamp = 0;
  timestampTakesAddress = false;
  timestampTakesTime = false;
  label = 0;
  private sourceRoute = false;

  constructor(
    private readonly view: DataView,
    private readonly ip: number,
    private readonly host: OptionsHost,
    private readonly time: number,
  ) {}

  read(): CompiledOptions {
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
      if (at + 2 > end) return this.malformed(at);
      const length = view.getUint8(at + 1);
      if (length < 2 || at + length > end) return this.malformed(at);
      const fault = this.option(type, at, length);
      if (fault !== SOUND) return this.malformed(at + fault);
      at += length;
    }
    if (this.sourceRoute) this.fault = 'source-route';
    return this;
  }

  private malformed(at: number): CompiledOptions {
    this.fault = 'malformed-options';
    this.faultAt = at - this.ip;
    return this;
  }

  private clearPadding(from: number, end: number): void {
    for (let at = from; at < end; at++) {
      if (this.view.getUint8(at) === IPOPT_END) continue;
      this.view.setUint8(at, IPOPT_END);
      this.changed = true;
    }
  }

  /** SOUND, or which byte of the option is at fault. */
  private option(type: number, at: number, length: number): number {
    switch (type) {
      case IPOPT_LSRR:
      case IPOPT_SSRR: {
        if (length < 3) return LENGTH;
        if (this.view.getUint8(at + 2) < 4) return POINTER;
        if (this.sourceRoute) return TYPE;
        this.sourceRoute = true;
        return SOUND;
      }
      case IPOPT_RR:
        return this.recordRoute(at, length);
      case IPOPT_TIMESTAMP:
        return this.stampTime(at, length);
      case IPOPT_RA:
        return length >= 4 ? SOUND : LENGTH;
      case IPOPT_CIPSO:
        // Labels of a domain that nobody has configured (cipso_v4_validate).
        this.label = at;
        return length < 8 ? LENGTH : DOMAIN;
      default:
        return SOUND;
    }
  }

  /** The third byte of the option, counted from 1, points at the next free slot. */
  private recordRoute(at: number, length: number): number {
    const { view } = this;
    if (this.record !== 0) return TYPE;
    if (length < 3) return LENGTH;
    const pointer = view.getUint8(at + 2);
    if (pointer < 4 || (pointer <= length && pointer + 3 > length)) return POINTER;
    this.record = at;
    if (pointer > length) return SOUND;
    this.recordTakesAddress = true;
    view.setUint32(at + pointer - 1, this.host.ownAddress());
    view.setUint8(at + 2, pointer + 4);
    this.changed = true;
    this.recordAt = at + pointer - 1;
    return SOUND;
  }

  private stampTime(at: number, length: number): number {
    const { view } = this;
    if (this.timestamp !== 0) return TYPE;
    if (length < 4) return LENGTH;
    const pointer = view.getUint8(at + 2);
    if (pointer < 5 || (pointer <= length && pointer + 3 > length)) return POINTER;
    const flags = view.getUint8(at + 3);
    const fault = pointer > length ? this.countOverflow(at, flags) : this.stamp(at, length, pointer, flags & 15);
    if (fault === SOUND) this.timestamp = at;
    return fault;
  }

  /** Hosts that found no room are counted, up to fifteen. */
  private countOverflow(at: number, flags: number): number {
    if ((flags & 15) === TS_PRESPECIFIED) return SOUND;
    if (flags >> 4 === 15) return OVERFLOW;
    this.view.setUint8(at + 3, flags + 16);
    this.changed = true;
    return SOUND;
  }

  private stamp(at: number, length: number, pointer: number, kind: number): number {
    const { view } = this;
    const slot = at + pointer - 1;
    if (kind === TS_ONLY) {
      this.writeTime(slot);
      view.setUint8(at + 2, pointer + 4);
      this.timestampTakesTime = true;
      return SOUND;
    }
    if (kind !== TS_AND_ADDRESS && kind !== TS_PRESPECIFIED) return SOUND;
    if (pointer + 7 > length) return POINTER;
    if (kind === TS_AND_ADDRESS) {
      view.setUint32(slot, this.host.ownAddress());
    } else if (this.host.isUnicast(view.getUint32(slot))) {
      return SOUND;
    }
    this.writeTime(slot + 4);
    view.setUint8(at + 2, pointer + 8);
    this.timestampTakesAddress = true;
    this.timestampTakesTime = true;
    return SOUND;
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
