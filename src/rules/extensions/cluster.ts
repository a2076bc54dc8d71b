/** `-m cluster`: which of several machines a connection is for, by a hash (kernel: net/netfilter/xt_cluster.c). Parsed only. */
import type { MatchExtension } from '../extension.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import { argument, bang, exclusive, find, option, requireOne } from './support.js';

export interface ClusterOptions {
  readonly nodes: number;
  readonly negated: boolean;
  /** A bit for each node that this machine is. */
  readonly mask: number;
  readonly seed: number;
}

const MOST_NODES = 32;
const word = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

export const cluster: MatchExtension<ClusterOptions> = {
  kind: 'match',
  name: 'cluster',
  summary: 'which machine of a cluster a connection is for',
  support: 'parsed',
  families: [4, 6],
  options: [
    option(false, '--cluster-total-nodes'),
    option(true, '--cluster-local-node'),
    option(true, '--cluster-local-nodemask'),
    option(false, '--cluster-hash-seed'),
  ],
  parse(options, context) {
    requireOne(options, 'match cluster', context, '--cluster-total-nodes');
    requireOne(options, 'match cluster', context, '--cluster-hash-seed');
    requireOne(options, 'match cluster', context, '--cluster-local-node', '--cluster-local-nodemask');
    exclusive(options, context, '--cluster-local-node', '--cluster-local-nodemask');
    const number = (name: string, min: number, max: number): number => {
      const found = find(options, name);
      return found === undefined ? 0 : parseNumber(argument(found), min, max, context);
    };
    const nodes = number('--cluster-total-nodes', 1, MOST_NODES);
    const found = find(options, '--cluster-local-node') ?? find(options, '--cluster-local-nodemask');
    const byMask = found?.name === '--cluster-local-nodemask';
    const mask = byMask
      ? number('--cluster-local-nodemask', 0, MAX_32)
      : 2 ** (number('--cluster-local-node', 1, MOST_NODES) - 1);
    if (mask >= 2 ** nodes)
      context.fail('RULES_BAD_NUMBER', `there are only ${nodes} nodes`, found?.args[0], 'correct the number');
    return { nodes, negated: found?.negated ?? false, mask, seed: number('--cluster-hash-seed', 0, MAX_32) };
  },
  print({ nodes, negated, mask, seed }) {
    const node = `${bang(negated)}--cluster-local-nodemask ${word(mask)}`;
    return ` ${node} --cluster-total-nodes ${nodes} --cluster-hash-seed ${word(seed)}`;
  },
  list({ nodes, negated, mask, seed }) {
    return `cluster ${negated ? '!' : ''}node_mask=${word(mask)} total_nodes=${nodes} hash_seed=${word(seed)}`;
  },
  compile: () => () => false,
};
