/** The memory that the hot path's loops see. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FlowTable } from '../src/netfilter/conntrack/flowtable.js';
import { Tuple } from '../src/packet/tuple.js';
import { Workspace } from '../src/workspace.js';

/** Enough entries for a table to grow more than once. */
const MANY = 5000;

/** Fills a table with connections from one address and returns the source ports that are found again. */
function foundAgain(table: FlowTable): number {
  const tuple = new Tuple();
  tuple.family = 4;
  tuple.protocol = 17;
  tuple.source[0] = 0xc0000207;
  tuple.destination[0] = 0xc0000201;
  tuple.destinationPort = 53;
  const reply = new Tuple();
  reply.family = 4;
  reply.protocol = 17;
  reply.source[0] = 0xc0000201;
  reply.destination[0] = 0xc0000207;
  reply.sourcePort = 53;
  for (let port = 1; port <= MANY; port++) {
    const entry = table.allocate();
    tuple.sourcePort = port;
    reply.destinationPort = port;
    table.writeTuple(entry, 0, tuple);
    table.writeTuple(entry, 1, reply);
    const at = entry * table.entryWords + table.meta;
    table.words[at] = (table.words[at] as number) | 17;
    table.link(entry);
  }
  let found = 0;
  for (let port = 1; port <= MANY; port++) {
    tuple.sourcePort = port;
    reply.destinationPort = port;
    if (table.find(tuple) === (port - 1) * 2 && table.find(reply) === (port - 1) * 2 + 1) found++;
  }
  return found;
}

describe('a workspace', () => {
  it('knows where arrays lie that were made before and after the flow table grew', () => {
    const workspace = Workspace.create();
    if (workspace === undefined) throw new Error('no address space for the test');
    const before = workspace.ints(16);
    expect(foundAgain(new FlowTable(1, workspace))).toBe(MANY);
    const after = workspace.bytes(16);
    expect(workspace.addressOf(before)).toBe(before.byteOffset);
    expect(workspace.addressOf(after)).toBe(after.byteOffset);
    expect(workspace.addressOf(new Uint8Array(16))).toBe(-1);
  });
});

describe('where address space is limited (ulimit -v)', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('there is no workspace, and flow tables of either family grow by being copied', () => {
    const memory = vi.spyOn(WebAssembly, 'Memory').mockImplementation(function refuse() {
      throw new RangeError('WebAssembly.Memory(): could not allocate memory');
    });
    expect(Workspace.create()).toBeUndefined();
    expect(foundAgain(new FlowTable(1))).toBe(MANY);
    const six = new FlowTable(4);
    for (let entry = 0; entry < MANY; entry++) expect(six.allocate()).toBe(entry);
    expect(six.words[(MANY - 1) * six.entryWords + six.meta]).not.toBe(0);
    expect(memory).toHaveBeenCalledTimes(3);
  });
});
