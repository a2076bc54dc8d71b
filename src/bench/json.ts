/** The result of `bench` as JSON, version 1: the schema published as docs/bench.schema.json, and reading it back. */
import { z } from 'zod';
import { NatreplayError } from '../errors.js';
import { asciiJson } from '../report/jsontext.js';

export const BENCH_SCHEMA = 1;

const count = z.int().min(0);
const amount = z.number().min(0);
const estimate = z.object({
  median: amount,
  q1: amount,
  q3: amount,
  low: amount.nullable().describe('Lower end of the 95 % interval of the median; null: too few runs for one.'),
  high: amount.nullable(),
});
const times = z.object({
  seconds: amount.describe('On the wall.'),
  cpuSeconds: amount.describe('Of all threads, user and system.'),
});
const nanoseconds = amount.nullable().describe('Nanoseconds; null: too few samples to tell.');
const latency = z.object({
  samples: count,
  p50: nanoseconds,
  p90: nanoseconds,
  p99: nanoseconds,
  p999: nanoseconds,
  p9999: nanoseconds,
  mean: amount,
  max: amount,
  histogram: z.string().describe('HdrHistogram of nanoseconds, as its log format encodes it (base64, compressed).'),
});

const exact = z
  .object({
    packets: count,
    bytes: count.describe('Of frames, as captured.'),
    verdicts: z.object({
      forward: count,
      local: count,
      drop: count,
      held: count,
      outgoing: count,
      ignored: count,
    }),
    connections: count.describe('Begun.'),
    rulesEvaluated: count.describe('Rules that packets were held against, as the kernel holds them.'),
    rulesPerConnection: z
      .object({ min: count, mean: amount, max: count })
      .nullable()
      .describe('The same of the packets that began a connection; null: none did.'),
    remembered: count.describe('First packets that took the remembered way of one before them.'),
    tableProbes: count.describe('Slots of the flow table that lookups looked at.'),
    outputSha256: z.string().describe('Of every record that leaves: egress, time, lengths, frame.'),
  })
  .describe('Figures that are the same on every machine.');

const run = z.object({
  passes: count.describe('Of the whole capture; all figures of a run are sums over them.'),
  ...times.shape,
  stages: z.object({ read: times, translate: times, write: times }),
  undisturbed: z
    .object({ cpuSeconds: amount, translateCpuSeconds: amount })
    .describe('Of one pass, from the least time that each slab took in any pass: what runs are compared by.'),
  calibration: z
    .object({ ...times.shape, least: amount.describe('Processor time of the piece that was disturbed least.') })
    .describe('What a fixed piece of work took between the slabs: how fast the machine was.'),
  split: z
    .object({ newPackets: count, newSeconds: amount, otherPackets: count, otherSeconds: amount, interrupted: count })
    .nullable(),
  peakBytes: count.nullable(),
  ownBytes: count.nullable(),
});

const openLoop = z.object({
  pace: z.string().describe('What was asked for: 1 Mpps, 2x.'),
  arrival: z.enum(['constant', 'poisson', 'captured']),
  packetsPerSecond: amount.describe('Packets due a second, over all of the schedule.'),
  packets: count,
  passes: count,
  longestQueue: count.describe('Most packets that were due and waited.'),
  interruptions: count.describe('Times the process had to give the processor to others.'),
  latency: latency.describe('From when a packet was due until it was translated.'),
});

const found = z.object({
  goal: z.enum(['ndr', 'pdr']),
  lossRatio: amount,
  packetsPerSecond: estimate,
});

const ruleSet = z.object({
  label: z.string(),
  files: z.array(z.string()),
  sha256: z.string().describe('Of the rules as iptables-save prints them.'),
  rules: count,
  exact,
  rates: z.object({
    packetsPerSecond: estimate,
    bytesPerSecond: estimate,
    cpuNanosecondsPerPacket: estimate,
    newConnectionsPerSecond: estimate.nullable().describe('By what their first packets took; null: there were none.'),
    establishedPacketsPerSecond: estimate.nullable().describe('By what all other packets took.'),
  }),
  stages: z
    .object({ read: estimate, translate: estimate, write: estimate })
    .describe(
      'Processor time in nanoseconds a packet. Translating is parsing, tracking and rewriting, done in one go.',
    ),
  memory: z
    .object({ peakBytes: count, ownBytes: count })
    .nullable()
    .describe('Resident memory of the process at its peak, and what a run added to it; null: the system does not say.'),
  serviceTime: z
    .object({
      method: z.string(),
      clockNanoseconds: amount.describe('Cost of reading the clock, subtracted from every sample.'),
      interrupted: count.describe('Samples left out because the process was not running all the time.'),
      new: latency.nullable(),
      established: latency.nullable(),
    })
    .nullable(),
  openLoop: z.array(openLoop),
  search: z
    .object({ method: z.string(), queue: count, interrupted: count, found: z.array(found), latency: z.array(openLoop) })
    .nullable(),
  runs: z.array(run).min(1),
});

const sweepRow = z.object({
  label: z.string(),
  value: count,
  rulesPerConnection: amount.nullable(),
  cpuNanosecondsPerPacket: estimate,
  newConnectionsPerSecond: estimate.nullable(),
});

export const benchSchema = z
  .object({
    schema: z.literal(BENCH_SCHEMA).describe('Version of this format.'),
    kind: z.literal('bench'),
    version: z.string().describe('Of natreplay.'),
    taken: z.string().describe('When, ISO 8601.'),
    machine: z.object({
      cpu: z.string(),
      cores: count,
      memoryBytes: count,
      kernel: z.string(),
      node: z.string(),
      arch: z.string(),
      load: amount,
    }),
    capture: z.object({ files: z.array(z.string()), sha256: z.string(), bytes: count }),
    settings: z.object({
      seed: count,
      checksums: z.enum(['verify', 'offload', 'ignore']),
      workers: count,
      quick: z.boolean(),
    }),
    warmUp: z.object({ passes: count, steady: z.boolean() }),
    calibration: z.object({ cpuSeconds: estimate, least: estimate }),
    ruleSets: z.array(ruleSet).min(1),
    comparisons: z.array(
      z.object({
        first: z.string(),
        second: z.string(),
        ratio: amount.describe('Processor time of the first over that of the second, of paired runs.'),
        low: amount.nullable(),
        high: amount.nullable(),
        sentence: z.string(),
      }),
    ),
    sweep: z.object({ of: z.enum(['rules', 'flows']), rows: z.array(sweepRow) }).nullable(),
    warnings: z.array(z.string()),
  })
  .meta({ title: 'natreplay bench' });

export type BenchJson = z.infer<typeof benchSchema>;
export type RuleSetJson = BenchJson['ruleSets'][number];
export type RunJson = RuleSetJson['runs'][number];
export type EstimateJson = z.infer<typeof estimate>;
export type LatencyJson = z.infer<typeof latency>;
export type OpenLoopJson = z.infer<typeof openLoop>;
export type SweepRowJson = z.infer<typeof sweepRow>;

/** The JSON Schema published as docs/bench.schema.json. */
export function benchJsonSchema(): unknown {
  return z.toJSONSchema(benchSchema, { io: 'input' });
}

/** ASCII only, newline at the end. */
export function benchText(json: BenchJson): string {
  return asciiJson(json);
}

/** Reads what `bench --json` wrote. Throws BENCH_UNREADABLE in one line for anything else. */
export function parseBench(text: string, file: string): BenchJson {
  const bad = (what: string, advice: string): NatreplayError =>
    new NatreplayError('BENCH_UNREADABLE', what, { file, advice });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const what = text.trimStart().startsWith('{') ? 'the file ends too early or is damaged' : 'this is no JSON';
    throw new NatreplayError('BENCH_UNREADABLE', what, { file, cause, advice: 'write it anew: bench --json FILE' });
  }
  const { kind, schema } = (value ?? {}) as { readonly kind?: unknown; readonly schema?: unknown };
  if (kind !== 'bench') throw bad('this is no result of natreplay bench', 'name a file that bench --json wrote');
  if (schema !== BENCH_SCHEMA)
    throw bad(
      `its format has version ${typeof schema === 'number' ? schema : 'none'}, and this natreplay reads ${BENCH_SCHEMA}`,
      'measure the base anew',
    );
  const parsed = benchSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(`${issue?.path.join('.') ?? 'it'}: ${issue?.message ?? 'is not as it should be'}`, 'measure anew');
}
