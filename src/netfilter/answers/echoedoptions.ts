/**
 * The IPv4 options that an ICMP error carries: record-route and timestamp of the packet that it is about, with the host's
 * own address and time in the next slot, and the label that it was dropped for (RFC 1122 section 3.2.2.6; kernel: __ip_options_echo, ip_options_build).
 */
import { type CompiledOptions, millisecondsOfDay, TS_PRESPECIFIED } from '../ipoptions.js';
import type { Packet } from '../packet.js';

const NONE = new Uint8Array(0);
/** Third byte of an option, counted from 1: where its next free slot is. */
const POINTER = 2;
const FLAGS = 3;
const ADDRESS_BYTES = 4;
const TIME_BYTES = 4;

export interface Echoer {
  /** Source address of the answer, host order. */
  readonly source: number;
  /** Whether an address is somebody else's. */
  isUnicast(address: number): boolean;
}

/** Undefined: no answer can be made, for a slot that is too short. Length a multiple of four. */
export function echoedOptions(packet: Packet, echoer: Echoer): Uint8Array | undefined {
  const { record, timestamp, label } = packet.options;
  if (record === 0 && timestamp === 0 && label === 0) return NONE;
  const first = record === 0 ? NONE : echoedRecord(packet, packet.options, echoer);
  const second = timestamp === 0 ? NONE : echoedTimestamp(packet, packet.options, echoer);
  if (first === undefined || second === undefined) return undefined;
  const third = label === 0 ? NONE : optionAt(packet, label);
  const length = first.length + second.length + third.length;
  const bytes = new Uint8Array(length + (-length & 3));
  bytes.set(first);
  bytes.set(second, first.length);
  bytes.set(third, first.length + second.length);
  return bytes;
}

function optionAt({ bytes }: Packet, at: number): Uint8Array {
  return bytes.slice(at, at + (bytes[at + 1] ?? 0));
}

function echoedRecord(packet: Packet, options: CompiledOptions, { source }: Echoer): Uint8Array | undefined {
  const option = optionAt(packet, options.record);
  const pointer = option[POINTER] ?? 0;
  if (!options.recordTakesAddress || pointer > option.length) return option;
  if (pointer + ADDRESS_BYTES - 1 > option.length) return undefined;
  writeWord(option, pointer - 1, source);
  option[POINTER] = pointer + ADDRESS_BYTES;
  return option;
}

function echoedTimestamp(packet: Packet, options: CompiledOptions, echoer: Echoer): Uint8Array | undefined {
  const option = optionAt(packet, options.timestamp);
  let pointer = option[POINTER] ?? 0;
  if (pointer > option.length) return option;
  const { timestampTakesAddress, timestampTakesTime } = options;
  if (timestampTakesAddress) {
    if (pointer + ADDRESS_BYTES - 1 > option.length) return undefined;
    pointer += ADDRESS_BYTES;
  }
  let takesTime = timestampTakesTime;
  if (takesTime) {
    if (pointer + TIME_BYTES - 1 > option.length) return undefined;
    if (((option[FLAGS] ?? 0) & 15) !== TS_PRESPECIFIED) {
      pointer += TIME_BYTES;
    } else {
      takesTime = pointer + 7 <= option.length && !echoer.isUnicast(readWord(option, pointer - 1));
      if (takesTime) pointer += ADDRESS_BYTES + TIME_BYTES;
    }
  }
  option[POINTER] = pointer;
  if (timestampTakesAddress) writeWord(option, pointer - 9, echoer.source);
  if (takesTime) writeWord(option, pointer - 5, millisecondsOfDay(packet.seconds, packet.nanoseconds));
  return option;
}

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): DataView => new DataView(buffer, byteOffset, length);
const readWord = (option: Uint8Array, at: number): number => viewOf(option).getUint32(at);
const writeWord = (option: Uint8Array, at: number, value: number): void => viewOf(option).setUint32(at, value);
