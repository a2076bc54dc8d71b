/** `natreplay explain`: what the command line of it means. The work is in explanation.ts, which other commands need not load. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { TableName } from '../rules/types.js';
import { interruptible } from './signals.js';
import { tableNames } from './tablenames.js';

export interface ExplainCliOptions {
  readonly packet?: number;
  readonly rules?: string[];
  readonly rules6?: string[];
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly format: 'text' | 'mermaid';
  readonly all?: boolean;
  readonly json?: string;
  readonly seed: number;
  readonly unsupported: 'stop' | 'skip';
  readonly checksum: 'verify' | 'offload' | 'ignore';
  readonly tables?: TableName[];
  readonly quiet?: boolean;
}

const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];

export function explainCommand(): Command {
  return new Command('explain')
    .description('the way of one packet through the host: every hook, chain and rule, why it matched or not')
    .argument(
      '[packet...]',
      "the packet in words: 'tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0'; with --packet captures, IFACE=CAPTURE names an ingress",
    )
    .option('--packet <number>', 'explain this record of the captures, counted from 0, in its connection', wholeNumber)
    .option('--rules <file...>', 'IPv4 rules, as iptables-save writes them')
    .option('--rules6 <file...>', 'IPv6 rules, as ip6tables-save writes them')
    .option('--host <file>', 'the host: JSON as natreplay snapshot writes it')
    .option('--iface <name=addresses>', 'an interface of the host: eth0=192.0.2.1/24 (may be repeated)', collect)
    .option('--route <dest=gateway@iface>', 'a route: default=192.0.2.254@eth0 (may be repeated)', collect)
    .addOption(new Option('--format <which>', 'a tree, or a flowchart').choices(['text', 'mermaid']).default('text'))
    .option('--all', 'show every rule that was tried, also in long runs that do not match')
    .option('--json <file>', 'the explanation as JSON; - is standard output')
    .option('--seed <number>', 'seed of every random choice', wholeNumber, 1)
    .addOption(
      new Option('--unsupported <how>', 'rules that hold something unknown: stop, or skip (never match)')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .addOption(
      new Option('--checksum <how>', 'layer-4 checksums of captures, as for replay')
        .choices(['verify', 'offload', 'ignore'])
        .default('offload'),
    )
    .option('--tables <names>', 'evaluate these tables only: nat, or a list like nat,filter', tableNames)
    .option('-q, --quiet', 'no text')
    .action((words: string[], options: ExplainCliOptions) =>
      interruptible(async (signal) => {
        const { explain } = await import('./explanation.js');
        await explain(words, options, signal);
      }),
    );
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.');
  return Number(text);
}
