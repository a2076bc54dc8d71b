/** The result as JSON (`--json`), version 1. */
import { asciiJson } from '../report/jsontext.js';
import { agrees } from './report.js';
import type { VerifyMismatch, VerifyResult } from './verify.js';

export interface VerifyJsonFacts {
  readonly kernel: string;
  readonly backend: string;
}

export function verifyJsonText(result: VerifyResult, facts: VerifyJsonFacts): string {
  return asciiJson({
    schema: 1,
    agree: agrees(result),
    ...facts,
    records: result.records,
    packets: { compared: result.packets, agreed: result.agreed, differing: result.differing },
    verdicts: Object.fromEntries(result.verdicts),
    skipped: Object.fromEntries(result.skipped),
    filled: result.filled,
    checksumsFinished: result.checksumsFinished,
    portsFollowed: result.portsFollowed,
    mtuRaised: result.mtuRaised,
    seconds: result.seconds,
    packetsPerSecond: result.seconds > 0 ? result.packets / result.seconds : null,
    mismatches: result.mismatches.map(mismatchJson),
    counters: { compared: result.counters.compared, differences: result.counters.differences },
    counters6: { compared: result.counters6.compared, differences: result.counters6.differences },
    connections: result.connections,
    unset: result.unset,
    assumptions: result.assumptions,
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function mismatchJson(mismatch: VerifyMismatch): unknown {
  const side = (frame: { readonly iface: string; readonly frame: Uint8Array } | undefined): unknown =>
    frame === undefined ? null : { iface: frame.iface, packet: hex(frame.frame.subarray(14)) };
  return {
    kind: mismatch.kind,
    record: mismatch.record,
    in: mismatch.ingress,
    packet: mismatch.packet,
    bytes: hex(mismatch.bytes),
    verdict: mismatch.verdict,
    why: mismatch.why,
    kernel: side(mismatch.kind === 'not-sent' ? undefined : mismatch.kernel),
    natreplay: side(mismatch.kind === 'not-predicted' ? undefined : mismatch.predicted),
    fields: mismatch.kind === 'differs' ? mismatch.fields : [],
    path: mismatch.path,
  };
}
