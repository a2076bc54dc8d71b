/**
 * Memory and speed of the flow table: links N connections, looks them up at random, and prints what that took.
 *
 *     npm run bench:flowtable -- [--connections 10M]
 *
 * The bar is 1.5 GiB of resident memory for 10 million connections.
 */
import { parseArgs } from 'node:util';
import { FlowTable, ORIGINAL, REPLY } from '../src/netfilter/conntrack/flowtable.js';
import { Random } from '../src/netfilter/random.js';
import { tupleHash } from '../src/packet/hash.js';
import { PROTO_TCP } from '../src/packet/transport.js';
import { Tuple } from '../src/packet/tuple.js';

const BAR = 1.5 * 2 ** 30;
const LOOKUPS = 5_000_000;
const OUTSIDE = 0xcb007101;

/** `10M`, `500k` or plain digits. */
function count(text: string): number {
  const match = /^(\d+)([kM]?)$/.exec(text);
  if (match === null) throw new Error(`--connections takes a number such as 10M, not ${text}`);
  return Number(match[1]) * (match[2] === 'M' ? 1e6 : match[2] === 'k' ? 1e3 : 1);
}

/** Connection k: a masqueraded one, told apart by address and port. */
function describe(k: number, original: Tuple, reply: Tuple): void {
  for (const tuple of [original, reply]) tuple.protocol = PROTO_TCP;
  original.source[0] = 0x0a000000 + (k >>> 14);
  original.sourcePort = 1024 + (k & 0x3fff);
  original.destination[0] = 0xc6120000 + (k >>> 14);
  original.destinationPort = 443;
  reply.source[0] = original.destination[0] ?? 0;
  reply.sourcePort = 443;
  reply.destination[0] = OUTSIDE;
  reply.destinationPort = original.sourcePort;
}

function fill(table: FlowTable, connections: number): void {
  const original = new Tuple();
  const reply = new Tuple();
  for (let k = 0; k < connections; k++) {
    describe(k, original, reply);
    const entry = table.allocate();
    table.writeTuple(entry, ORIGINAL, original);
    table.writeTuple(entry, REPLY, reply);
    const at = entry * table.entryWords;
    table.words[at + table.meta] = (table.words[at + table.meta] ?? 0) | PROTO_TCP;
    // What tracking a TCP connection touches: its windows.
    table.words[table.stateAt(entry)] = k;
    table.link(entry);
  }
}

function lookUp(table: FlowTable, connections: number): number {
  const random = new Random(1);
  let found = 0;
  for (let n = 0; n < LOOKUPS; n++) {
    const at = (random.next32() % connections) * table.entryWords;
    const { words } = table;
    const [source = 0, destination = 0, ports = 0] = [words[at], words[at + 1], words[at + 2]];
    if (table.find4(source, destination, ports, PROTO_TCP, tupleHash(source, destination, ports, PROTO_TCP)) >= 0)
      found++;
  }
  return found;
}

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10M' } } });
const connections = count(values.connections);
const table = new FlowTable(1);
let start = performance.now();
fill(table, connections);
const filled = (performance.now() - start) / 1000;
start = performance.now();
const found = lookUp(table, connections);
const looked = (performance.now() - start) / 1000;
const resident = process.memoryUsage().rss;
console.log(
  `${connections} connections: ${(resident / 2 ** 30).toFixed(2)} GiB resident (bar ${(BAR / 2 ** 30).toFixed(1)} for 10M)`,
);
console.log(
  `made at ${Math.round((filled * 1e9) / connections)} ns each, looked up one by one at ${Math.round((looked * 1e9) / LOOKUPS)} ns`,
);
if (found !== LOOKUPS) throw new Error(`${LOOKUPS - found} lookups found nothing`);
process.exitCode = connections <= 1e7 && resident > BAR ? 1 : 0;
