/** Holds what the kernel sent against what was predicted, packet by packet, from the IP header on. */
import { differingFields, type FieldDifference } from './fields.js';

/** A packet that went out (or should have): the input that caused it, the egress interface, an Ethernet frame. */
export interface AttributedFrame {
  readonly input: number;
  readonly iface: string;
  /** The bridge whose port the interface is: an output predicted for the bridge may leave by any. */
  readonly bridge?: string | undefined;
  readonly frame: Uint8Array;
}

export type Mismatch =
  /** Predicted, but the kernel sent nothing (or less). */
  | { readonly kind: 'not-sent'; readonly input: number; readonly predicted: AttributedFrame }
  /** The kernel sent what was not predicted. */
  | { readonly kind: 'not-predicted'; readonly input: number; readonly kernel: AttributedFrame }
  | {
      readonly kind: 'differs';
      readonly input: number;
      readonly kernel: AttributedFrame;
      readonly predicted: AttributedFrame;
      /** `egress` is a field like any other. */
      readonly fields: readonly FieldDifference[];
    };

export interface Comparison {
  /** Outputs that are the same in both. */
  readonly agreed: number;
  /** In the order of the inputs. */
  readonly mismatches: readonly Mismatch[];
}

/**
 * Says whether outputs that differ are equal for all that: where the kernel draws a random port, any free one of the
 * right range will do, as long as it is used one to one. This is the place for that bijection: it is asked about each
 * pair in order, may remember what it has accepted, and its answer counts as agreement.
 */
export type Allowance = (
  input: number,
  kernel: Uint8Array,
  predicted: Uint8Array,
  fields: readonly FieldDifference[],
) => boolean;

const NOTHING_ALLOWED: Allowance = () => false;

/** Both lists are in input order; outputs of one input are compared in the order they left. */
export function compareOutputs(
  kernel: readonly AttributedFrame[],
  predicted: readonly AttributedFrame[],
  allow: Allowance = NOTHING_ALLOWED,
): Comparison {
  const mismatches: Mismatch[] = [];
  let agreed = 0;
  let k = 0;
  let p = 0;
  for (;;) {
    const a = kernel[k];
    const b = predicted[p];
    if (a === undefined && b === undefined) return { agreed, mismatches };
    if (b === undefined || (a !== undefined && a.input < b.input)) {
      if (a !== undefined) mismatches.push({ kind: 'not-predicted', input: a.input, kernel: a });
      k++;
    } else if (a === undefined || b.input < a.input) {
      mismatches.push({ kind: 'not-sent', input: b.input, predicted: b });
      p++;
    } else {
      const fields = compareFrames(a, b, allow);
      if (fields.length === 0) agreed++;
      else mismatches.push({ kind: 'differs', input: a.input, kernel: a, predicted: b, fields });
      k++;
      p++;
    }
  }
}

function compareFrames(kernel: AttributedFrame, predicted: AttributedFrame, allow: Allowance): FieldDifference[] {
  const a = ipPacket(kernel.frame);
  const b = ipPacket(predicted.frame);
  const fields = differingFields(a, b);
  if (fields.length > 0 && allow(kernel.input, a, b, fields)) fields.length = 0;
  if (kernel.iface !== predicted.iface && kernel.bridge !== predicted.iface) {
    fields.unshift({ field: 'egress', kernel: kernel.iface, predicted: predicted.iface });
  }
  return fields;
}

const VLAN_TAGS = new Set([0x8100, 0x88a8, 0x9100]);

/**
 * The IP packet of an Ethernet frame: past VLAN tags, without the padding of short frames. A total length beyond the
 * frame leaves it whole.
 */
export function ipPacket(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = 12;
  while (at + 6 <= frame.length && VLAN_TAGS.has(view.getUint16(at))) at += 4;
  const ip = at + 2;
  if (ip + 20 > frame.length) return frame.subarray(ip);
  const stated = view.getUint8(ip) >> 4 === 6 ? 40 + view.getUint16(ip + 4) : view.getUint16(ip + 2);
  return frame.subarray(ip, Math.min(frame.length, ip + stated));
}

/** A mismatch on one line, for people. */
export function describeMismatch(mismatch: Mismatch): string {
  if (mismatch.kind === 'not-sent') {
    return `packet ${mismatch.input}: predicted to go out of ${mismatch.predicted.iface}, but the kernel sent nothing`;
  }
  if (mismatch.kind === 'not-predicted') {
    return `packet ${mismatch.input}: the kernel sent a packet to ${mismatch.kernel.iface} that was not predicted`;
  }
  const fields = mismatch.fields.map((f) => `${f.field} kernel ${f.kernel}, predicted ${f.predicted}`);
  return `packet ${mismatch.input}: ${fields.join('; ')}`;
}
