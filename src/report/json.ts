/**
 * The report as JSON (`--json`): version 1, described by docs/report.schema.json, which is made from the schema here.
 * New keys may be added within a version; a key that goes or changes its meaning makes a new one.
 */
import * as z from 'zod';
import { asciiJson } from './jsontext.js';
import type { ConnectionCounts, InputSummary, ReplayResult, RuleCounters, ServiceTime } from './types.js';

const count = z.int().min(0);
const warning = z
  .object({
    code: z.string().describe('Stable across releases, e.g. CAPTURE_TRUNCATED.'),
    message: z.string(),
    file: z.string(),
    offset: z.int().nullable().describe('Byte offset in the file, null if it belongs to no place.'),
  })
  .describe('Something odd about an input that did not stop the replay.');

const input = z.object({
  path: z.string().describe('As named by the user; - is standard input.'),
  format: z.string(),
  linkTypes: z.array(z.string()),
  records: count,
  bytes: count.describe('Of the capture as stored.'),
  warnings: z.array(warning),
});

const output = z.object({
  path: z.string(),
  iface: z.string().nullable().describe('Egress interface when the output is split by interface, else null.'),
  records: count,
  bytes: count.describe('Of the capture itself, before compression.'),
});

const text = z.object({
  path: z.string(),
  what: z.string().describe('What it holds, e.g. packet log.'),
  bytes: count,
});

const verdicts = z
  .object({
    forward: count,
    local: count,
    drop: count,
    held: count.describe('Fragments whose rest never came.'),
    outgoing: count.describe('Records of what the real host had sent, not replayed.'),
    ignored: count.describe('Not IP, or a link type not understood.'),
    translated: count.describe('Of the forwarded and local ones, those with an address or port changed.'),
  })
  .describe('Packets by what became of them; all but translated add up to records.');

const serviceTime = z
  .object({
    samples: count,
    p50: z.number(),
    p99: z.number(),
    p999: z.number(),
    max: z.number(),
    mean: z.number(),
    method: z.string().describe('What was measured and how it was sampled.'),
  })
  .describe('Service time of packets in nanoseconds.');

const rule = z.object({
  number: z.int().min(1).describe('Position in its chain, as iptables -L --line-numbers counts.'),
  text: z.string().describe('As written.'),
  line: count.describe('Line of the rules file.'),
  packets: count,
  bytes: count,
});

const chain = z.object({
  name: z.string(),
  policy: z.enum(['ACCEPT', 'DROP']).nullable().describe('Null for a user-defined chain.'),
  packets: count.describe('Of the policy; 0 for a user-defined chain.'),
  bytes: count.describe('Of the policy; 0 for a user-defined chain.'),
  rules: z.array(rule),
});

const ruleset = z.object({
  file: z.string(),
  family: z.union([z.literal(4), z.literal(6)]),
  tables: z.array(
    z.object({
      name: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
      evaluated: z.boolean().describe('False: read, but no packet went through it.'),
      chains: z.array(chain),
    }),
  ),
  skipped: z
    .array(
      z.object({
        table: z.string(),
        chain: z.string(),
        number: z.int().min(1),
        line: count,
        text: z.string(),
        missing: z.string().describe('What is not supported, e.g. match rateest.'),
      }),
    )
    .describe('Rules that never matched because something in them is not supported.'),
});

export const reportSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    records: count.describe('Records of all inputs.'),
    elapsedSeconds: z.number().min(0).describe('Wall time of the run.'),
    captureSeconds: z
      .object({ first: z.number(), last: z.number() })
      .nullable()
      .describe('Earliest and latest packet, seconds since 1970; null without packets.'),
    packetsPerSecond: z.number().min(0).nullable(),
    bytesPerSecond: z.number().min(0).nullable().describe('Bytes of the inputs as stored, per second.'),
    inputs: z.array(input),
    outputs: z.array(output).describe('Captures that were written.'),
    texts: z.array(text).describe('Other files that were written.'),
    verdicts,
    reasons: z
      .array(z.object({ reason: z.string(), packets: count }))
      .describe('Why packets were dropped or went past NAT, most frequent first.'),
    interfaces: z.array(
      z.object({ name: z.string(), rxPackets: count, rxBytes: count, txPackets: count, txBytes: count }),
    ),
    connections: z.object({ created: count, expired: count, live: count, peak: count }),
    fragments: z
      .object({
        held: count.describe('Fragments that waited for others.'),
        dropped: count.describe('Fragments that were refused: the reasons that begin with fragment-.'),
        reassembled: count.describe('Datagrams put together.'),
        expired: count.describe('Datagrams given up because their time was over.'),
        waitingDatagrams: count.describe("Datagrams not complete at the capture's end."),
        waitingFragments: count.describe('Fragments of these.'),
      })
      .describe('What became of fragments that were gathered into datagrams.'),
    ports: z
      .object({ learnt: count, unknown: count, refused: count, unforeseen: count })
      .optional()
      .describe('With --learn-ports: ports that the kernel drew, seen, not seen, impossible here, unexpected.'),
    serviceTime: serviceTime.nullable(),
    rulesets: z.array(ruleset),
    assumptions: z.array(z.string()).describe('What was not stated and had to be assumed, with how to state it.'),
    warnings: z.array(z.string()),
  })
  .meta({ title: 'natreplay replay report' });

export type JsonReport = z.infer<typeof reportSchema>;

/** The JSON Schema published as docs/report.schema.json. It lets unknown keys pass: a later release may add some. */
export function jsonReportSchema(): unknown {
  return z.toJSONSchema(reportSchema, { io: 'input' });
}

/** The report as text, ASCII only: what a name may hold can't act on a terminal. */
export function jsonReportText(result: ReplayResult): string {
  return asciiJson(jsonReport(result));
}

export function jsonReport(result: ReplayResult): JsonReport {
  const { records, elapsedSeconds, captureSeconds, verdicts: counts, connections, serviceTime: times } = result;
  const bytes = result.inputs.reduce((sum, one) => sum + one.bytes, 0);
  const perSecond = (amount: number): number | null => (elapsedSeconds > 0 ? amount / elapsedSeconds : null);
  return {
    schema: 1,
    records,
    elapsedSeconds,
    captureSeconds: captureSeconds === undefined ? null : { first: captureSeconds.first, last: captureSeconds.last },
    packetsPerSecond: perSecond(records),
    bytesPerSecond: perSecond(bytes),
    inputs: result.inputs.map(inputOf),
    outputs: result.outputs.map((file) => ({
      path: file.path,
      iface: file.iface ?? null,
      records: file.records,
      bytes: file.bytes,
    })),
    texts: (result.texts ?? []).map((file) => ({ path: file.path, what: file.what, bytes: file.bytes })),
    verdicts: {
      forward: counts.forward,
      local: counts.local,
      drop: counts.drop,
      held: counts.held,
      outgoing: counts.outgoing,
      ignored: counts.ignored,
      translated: counts.translated,
    },
    reasons: result.reasons.map(([reason, packets]) => ({ reason, packets })),
    interfaces: result.interfaces.map(({ name, rxPackets, rxBytes, txPackets, txBytes }) => ({
      name,
      rxPackets,
      rxBytes,
      txPackets,
      txBytes,
    })),
    connections: connectionsOf(connections),
    fragments: { ...NO_FRAGMENTS, ...result.fragments },
    ...(result.ports === undefined ? {} : { ports: { ...result.ports } }),
    serviceTime: times === undefined ? null : serviceTimeOf(times),
    rulesets: result.rules.map(rulesetOf),
    assumptions: [...result.assumptions],
    warnings: [...result.warnings],
  };
}

function inputOf(one: InputSummary): JsonReport['inputs'][number] {
  return {
    path: one.path,
    format: one.format,
    linkTypes: [...one.linkTypes],
    records: one.records,
    bytes: one.bytes,
    warnings: one.warnings.map(({ code, message, file, offset }) => ({ code, message, file, offset: offset ?? null })),
  };
}

const NO_FRAGMENTS: JsonReport['fragments'] = {
  held: 0,
  dropped: 0,
  reassembled: 0,
  expired: 0,
  waitingDatagrams: 0,
  waitingFragments: 0,
};

function connectionsOf({ created, expired, live, peak }: ConnectionCounts): JsonReport['connections'] {
  return { created, expired, live, peak };
}

function serviceTimeOf({ samples, p50, p99, p999, max, mean, method }: ServiceTime): JsonReport['serviceTime'] {
  return { samples, p50, p99, p999, max, mean, method };
}

function rulesetOf(counters: RuleCounters): JsonReport['rulesets'][number] {
  const { ruleset: rules, notEvaluated = [] } = counters;
  return {
    file: rules.file,
    family: rules.family,
    tables: [...rules.tables.values()].map((table) => ({
      name: table.name,
      evaluated: !notEvaluated.includes(table.name),
      chains: [...table.chains.values()].map((one) => ({
        name: one.name,
        policy: one.policy ?? null,
        packets: one.policy === undefined ? 0 : counters.packets(table.name, one.name, 'policy'),
        bytes: one.policy === undefined ? 0 : counters.bytes(table.name, one.name, 'policy'),
        rules: one.rules.map(({ number, text: written, line }) => ({
          number,
          text: written,
          line,
          packets: counters.packets(table.name, one.name, number),
          bytes: counters.bytes(table.name, one.name, number),
        })),
      })),
    })),
    skipped: rules.skipped.map(({ rule: one, missing }) => ({
      table: one.table,
      chain: one.chain,
      number: one.number,
      line: one.line,
      text: one.text,
      missing,
    })),
  };
}
