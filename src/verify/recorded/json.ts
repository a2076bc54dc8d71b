/** The comparison as JSON, version 1: described by docs/recorded.schema.json, which is made from the schema here. */
import * as z from 'zod';
import { asciiJson } from '../../report/jsontext.js';
import { allAgree } from './report.js';
import type { Finding, RecordedReport, RecordPlace } from './types.js';

const count = z.int().min(0);

const place = z
  .object({
    file: z.string(),
    frame: z.int().min(1).describe('As Wireshark numbers it.'),
    iface: z.string().nullable().describe('Null when the capture does not say, or the host has no such interface.'),
    packet: z.string(),
  })
  .nullable();

const finding = z.object({
  kind: z.enum(['differs', 'missing', 'unexplained']),
  packets: z
    .object({ differs: count, missing: count, unexplained: count })
    .describe('Of the whole connection, both directions; the rest is about its first.'),
  incoming: place,
  recorded: place,
  predicted: z
    .object({
      verdict: z.string(),
      iface: z.string().nullable(),
      packet: z
        .string()
        .nullable()
        .describe('As it would leave, or as it is when dropped or delivered; null if it is as it came in.'),
      rule: z.string().nullable().describe('What translated it, table:chain:number.'),
      why: z.string().nullable().describe('Why it was dropped, or went past NAT.'),
    })
    .nullable(),
  fields: z.array(z.object({ field: z.string(), recorded: z.string(), predicted: z.string() })),
  reason: z.string().describe('What is most likely behind it.'),
});

export const recordedSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    agree: z.boolean().describe('Nothing differs, is missing or is unexplained.'),
    captures: z.array(z.string()),
    records: count,
    incoming: count,
    outgoing: count,
    predicted: count.describe('Incoming records that are predicted to leave.'),
    agreed: count.describe('Predictions with their record: same interface, same bytes from the IP header on.'),
    differing: count.describe('Sent, but otherwise than predicted.'),
    missing: count.describe('Predicted, not seen.'),
    unexplained: count.describe('Seen, not predicted.'),
    ports: z
      .object({ learnt: count, unknown: count, refused: count, unforeseen: count })
      .describe('Source ports and ids that the kernel drew at random.'),
    setAside: z
      .object({
        answers: z.record(z.string(), count).describe("The host's own answers, by what they are."),
        own: count,
        copies: count,
        bridged: count,
        beforeCapture: count,
        cameElsewhere: count,
        leftElsewhere: count,
        atTheEnd: count,
        notEvaluated: count,
      })
      .describe('Without a counterpart, and no disagreement: docs/recorded.md.'),
    findings: z.array(finding).describe('One for each connection that disagrees, at most 1000.'),
    omitted: count.describe('Disagreeing packets of further connections.'),
    assumptions: z.array(z.string()),
    warnings: z.array(z.string()),
    elapsedSeconds: z.number().min(0),
  })
  .meta({ title: 'natreplay verify --recorded' });

/** The JSON Schema published as docs/recorded.schema.json. */
export function recordedJsonSchema(): unknown {
  return z.toJSONSchema(recordedSchema, { io: 'input' });
}

/** ASCII only, newline at the end. */
export function recordedJsonText(report: RecordedReport): string {
  return asciiJson(recordedJson(report));
}

export function recordedJson(report: RecordedReport): z.infer<typeof recordedSchema> {
  const { setAside, findings, captures, assumptions, warnings, ...figures } = report;
  return {
    schema: 1,
    agree: allAgree(report),
    ...figures,
    captures: [...captures],
    setAside: { ...setAside, answers: Object.fromEntries(setAside.answers) },
    findings: findings.map(findingJson),
    assumptions: [...assumptions],
    warnings: [...warnings],
  };
}

function findingJson({ incoming, recorded, predicted, fields, ...rest }: Finding): z.infer<typeof finding> {
  return {
    ...rest,
    incoming: placeJson(incoming),
    recorded: placeJson(recorded),
    predicted:
      predicted === undefined
        ? null
        : {
            verdict: predicted.verdict,
            iface: predicted.iface ?? null,
            packet: predicted.packet ?? null,
            rule: predicted.rule ?? null,
            why: predicted.why ?? null,
          },
    fields: fields.map(({ field, kernel, predicted: ours }) => ({ field, recorded: kernel, predicted: ours })),
  };
}

const placeJson = (each: RecordPlace | undefined): z.infer<typeof place> =>
  each === undefined ? null : { ...each, iface: each.iface ?? null };
