/** An explanation as JSON (version 1: docs/explain.schema.json, which is made from the schema here). */
import * as z from 'zod';
import { asciiJson } from '../report/jsontext.js';
import type { Explanation } from './model.js';

const count = z.int().min(0);
const text = z.string().nullable();
const table = z.enum(['raw', 'mangle', 'nat', 'filter', 'security']);

const packet = z.object({
  text: z.string().describe('tcp 198.51.100.7:40000 > 192.0.2.1:8799'),
  flags: text.describe('SYN,ACK; null unless it is TCP.'),
  ttl: count.describe('TTL or hop limit.'),
  length: count.describe('IP total length in bytes.'),
  tos: count,
  mark: count,
  connectionMark: count.nullable().describe('Mark of its connection; null without one.'),
});
const change = z.object({ before: packet, after: packet });

const rule = z.object({
  rule: z.string().describe('nat:DOCKER:2'),
  number: count.describe('In its chain, from 1.'),
  line: count.describe('In the rule file, from 1.'),
  text: z.string().describe('As iptables-save prints it.'),
  matched: z.boolean(),
  why: z
    .object({
      condition: z.string().describe('What is looked at: destination port.'),
      wanted: z.string().describe('What the rule asks for: 80, not 172.17.0.0/16.'),
      text: z.string().describe('destination port 80, the packet has 8799'),
    })
    .nullable()
    .describe('The first condition that does not hold.'),
  drops: z.boolean().describe('It could not be held against the packet, which is dropped therefore.'),
  target: text.describe('Of a rule that matches; null: it only counts.'),
  isGoto: z.boolean(),
  change: change.nullable().describe('What the target changed.'),
  get jump() {
    return chain.nullable().describe('The chain that the target leads to.');
  },
});

const chain = z.object({
  chain: z.string(),
  end: z.enum(['accept', 'drop', 'return', 'policy']),
  policy: z.enum(['ACCEPT', 'DROP']).nullable(),
  get rules(): z.ZodArray<typeof rule> {
    return z.array(rule).describe('Those that were tried, in order.');
  },
});

const connection = z.object({
  original: z.string(),
  reply: z.string(),
  direction: z.enum(['original', 'reply']),
  tcpState: text,
  zone: count,
});

const step = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('conntrack'),
    state: z.enum(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED']).nullable(),
    entry: z.enum(['new', 'found', 'kept', 'none']).describe('kept: the packet had its connection before this hook.'),
    connection: connection.nullable(),
    why: text.describe('Why it is INVALID: a reason word.'),
    passed: z.boolean(),
  }),
  z.object({ kind: z.literal('table'), table, walk: chain, passed: z.boolean() }),
  z.object({
    kind: z.literal('nat'),
    manipulates: z.enum(['source', 'destination']).nullable(),
    walk: chain.nullable().describe('null: no chain was asked.'),
    how: z.enum(['rule', 'null-binding', 'settled', 'icmp-error', 'no-connection', 'dropped']),
    asked: text.describe('What the rule asked for: 172.17.0.3:1337'),
    choice: text.describe('Why a port is another.'),
    change: change.nullable(),
    passed: z.boolean(),
  }),
  z.object({
    kind: z.literal('confirm'),
    confirmed: z.boolean().describe('false: there was nothing to confirm.'),
    passed: z.boolean(),
  }),
]);

const stage = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('hook'),
    hook: z.enum(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']),
    in: text,
    out: text,
    packet: packet.describe('As it comes to the hook.'),
    steps: z.array(step),
  }),
  z.object({
    kind: z.literal('routing'),
    of: z.enum(['incoming', 'outgoing', 'again']),
    decision: z.enum(['forward', 'local', 'send', 'drop']),
    destination: z.string(),
    iface: text,
    gateway: text.describe('null: the destination is on the link.'),
    why: text,
  }),
]);

const journey = z.object({
  in: text.describe('Interface, or @local.'),
  ingressIsInferred: z.boolean(),
  packet: packet.nullable().describe('As it comes; null if it is no sound IP packet.'),
  path: z.array(stage),
  outcome: z.object({
    verdict: z.enum(['forward', 'local', 'drop', 'held', 'outgoing', 'ignored']),
    why: text.describe('Rule or reason word.'),
    answer: text.describe('What REJECT tells the sender, as the word of --reject-with.'),
    out: text,
    after: packet.nullable().describe('As it leaves, or as the host gets it.'),
    pieces: count.nullable().describe('Packets it leaves as, if it is cut.'),
  }),
});

export const explanationSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    assumptions: z.array(z.string()).describe('What was not stated of the host and had to be assumed.'),
    played: count.describe('Packets that were played before it.'),
    first: journey.nullable().describe('The first packet of its connection, if one was played for it.'),
    journey: journey.describe('The packet that is explained.'),
    reply: journey.nullable().describe('The answer to it.'),
    noReply: text.describe('Why no reply is shown.'),
  })
  .meta({ title: 'natreplay explain' });

export type ExplanationJson = z.infer<typeof explanationSchema>;

/** The JSON Schema published as docs/explain.schema.json. */
export function explanationJsonSchema(): unknown {
  return z.toJSONSchema(explanationSchema, { io: 'input' });
}

/** ASCII only, newline at the end. */
export function explanationJsonText(explanation: Explanation, assumptions: readonly string[]): string {
  return asciiJson(withNulls({ schema: 1, assumptions, ...explanation }));
}

/** What is undefined in the model is null in JSON, so that every key is always there. */
function withNulls(value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map(withNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withNulls(one)]));
}
