/** The result as JSON (`--json`), version 1: described by docs/verify.schema.json, which is made from the schema here. */
import * as z from 'zod';
import { asciiJson } from '../report/jsontext.js';
import type { CounterDifference } from './counters.js';
import type { LineDifference } from './listings.js';
import { agrees } from './report.js';
import type { VerifyMismatch, VerifyResult } from './verify.js';

const count = z.int().min(0);
const hexadecimal = z.string().regex(/^([0-9a-f]{2})*$/);
const verdict = z.enum(['forward', 'local', 'drop', 'held', 'outgoing', 'ignored']);

const side = z
  .object({
    iface: z.string().describe("The interface it left by; '(host)' where the host itself got it."),
    packet: hexadecimal.describe('From the IP header on.'),
  })
  .nullable();

const mismatch = z.object({
  kind: z
    .enum(['not-sent', 'not-predicted', 'differs'])
    .describe('Sent by natreplay only; by the kernel only; by both, but not the same.'),
  record: count.describe('Number of the record over all captures in their merged order, from 0.'),
  in: z.string().describe('The interface it came in by.'),
  packet: z.string().describe('The packet that came in, for people.'),
  bytes: hexadecimal.describe('The same, from the IP header on.'),
  verdict: verdict.describe("natreplay's."),
  why: z.string().describe('Its reason, empty if there is none.'),
  kernel: side,
  natreplay: side,
  fields: z.array(z.object({ field: z.string(), kernel: z.string(), predicted: z.string() })),
  path: z
    .array(z.object({ rule: z.string().describe('table:CHAIN:number, or policy'), text: z.string() }))
    .describe('Rules that counted the packet in natreplay, in their order.'),
});

const value = z.string().nullable().describe('Null: this side has none.');
const counters = z.object({
  compared: count,
  differences: z.array(z.object({ rule: z.string(), text: z.string(), kernel: value, predicted: value })),
});
const connections = z.object({
  compared: count,
  differences: z.array(z.object({ what: z.string(), kernel: value, predicted: value })),
});

export const verifySchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    agree: z.boolean().describe('No packet, counter or connection differs.'),
    kernel: z.string().describe('As uname says: Linux 6.18.5'),
    backend: z.enum(['legacy', 'nft']),
    records: count,
    packets: z
      .object({ compared: count, agreed: count, differing: count })
      .describe('Packets that were put to both, and those of which everything agreed.'),
    verdicts: z.partialRecord(verdict, count).describe("Packets by natreplay's verdict."),
    skipped: z.record(z.string(), count).describe('Records that were left out, by reason.'),
    filled: count.describe('Packets whose end the snaplen had cut off.'),
    checksumsFinished: count.describe('Packets whose checksum had been left to the network card.'),
    portsFollowed: count.describe('Ports that the kernel drew at random, all of them permitted and free.'),
    mtuRaised: z.boolean(),
    seconds: z.number().min(0).describe('Time for which packets were sent.'),
    packetsPerSecond: z.number().min(0).nullable(),
    mismatches: z.array(mismatch).describe('Of the first packets that differ, about a hundred.'),
    counters,
    counters6: counters.describe("Those of IPv6's rules."),
    connections,
    unset: z.array(z.string()).describe('Settings of the host that this kernel does not have.'),
    assumptions: z.array(z.string()),
  })
  .meta({ title: 'natreplay verify' });

export type VerifyJson = z.infer<typeof verifySchema>;

/** The JSON Schema published as docs/verify.schema.json. */
export function verifyJsonSchema(): unknown {
  return z.toJSONSchema(verifySchema, { io: 'input' });
}

export type VerifyJsonFacts = Pick<VerifyJson, 'kernel' | 'backend'>;

/** ASCII only, newline at the end. */
export function verifyJsonText(result: VerifyResult, facts: VerifyJsonFacts): string {
  return asciiJson(verifyJson(result, facts));
}

export function verifyJson(result: VerifyResult, facts: VerifyJsonFacts): VerifyJson {
  return {
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
    counters: comparisonJson(result.counters),
    counters6: comparisonJson(result.counters6),
    connections: comparisonJson(result.connections),
    unset: [...result.unset],
    assumptions: [...result.assumptions],
  };
}

type Sides<T> = Omit<T, 'kernel' | 'predicted'> & Record<'kernel' | 'predicted', string | null>;

function comparisonJson<T extends CounterDifference | LineDifference>(comparison: {
  readonly compared: number;
  readonly differences: readonly T[];
}): { compared: number; differences: Sides<T>[] } {
  const { compared, differences } = comparison;
  return {
    compared,
    differences: differences.map(({ kernel = null, predicted = null, ...rest }) => ({ ...rest, kernel, predicted })),
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function mismatchJson(mismatch: VerifyMismatch): VerifyJson['mismatches'][number] {
  const sideJson = (frame: { readonly iface: string; readonly frame: Uint8Array } | undefined): z.infer<typeof side> =>
    frame === undefined ? null : { iface: frame.iface, packet: hex(frame.frame.subarray(14)) };
  return {
    kind: mismatch.kind,
    record: mismatch.record,
    in: mismatch.ingress,
    packet: mismatch.packet,
    bytes: hex(mismatch.bytes),
    verdict: mismatch.verdict,
    why: mismatch.why,
    kernel: sideJson(mismatch.kind === 'not-sent' ? undefined : mismatch.kernel),
    natreplay: sideJson(mismatch.kind === 'not-predicted' ? undefined : mismatch.predicted),
    fields: mismatch.kind === 'differs' ? [...mismatch.fields] : [],
    path: [...mismatch.path],
  };
}
