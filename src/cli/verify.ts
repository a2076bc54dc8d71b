/** `natreplay verify`: what the command line of it means. The work is in verification.ts, which other commands need not load. */
import { Command, Option } from 'commander';
import type { TableName } from '../rules/types.js';
import { interruptible } from './signals.js';
import { tableNames } from './tablenames.js';

export interface VerifyCliOptions {
  readonly rules?: string[];
  readonly rules6?: string[];
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly backend: 'legacy' | 'nft';
  readonly unsupported: 'stop' | 'skip';
  readonly tables?: TableName[];
  readonly recorded?: boolean;
  readonly keep?: string;
  readonly json?: string;
  readonly quiet?: boolean;
}

const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];

export function verifyCommand(): Command {
  return new Command('verify')
    .description("hold natreplay's answer against the kernel's: the same packets through this machine's own kernel")
    .argument('[capture...]', 'captures, merged by time; IFACE=CAPTURE names an ingress')
    .option('--rules <file...>', 'IPv4 rules, as iptables-save writes them')
    .option('--rules6 <file...>', 'IPv6 rules, as ip6tables-save writes them')
    .option('--host <file>', 'the host: JSON as natreplay snapshot writes it')
    .option('--iface <name=addresses>', 'an interface of the host: eth0=192.0.2.1/24 (may be repeated)', collect)
    .option('--route <dest=gateway@iface>', 'a route: default=192.0.2.254@eth0 (may be repeated)', collect)
    .option('--recorded', 'no kernel, no root: against what the captures themselves show going out of the real host')
    .addOption(
      new Option('--backend <which>', 'iptables to load the rules with').choices(['legacy', 'nft']).default('legacy'),
    )
    .addOption(
      new Option('--unsupported <how>', 'rules that hold something unknown: stop, or skip (both sides go without them)')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .option('--tables <names>', 'load these tables only, on both sides: nat, or a list like nat,filter', tableNames)
    .option('--keep <dir>', 'keep what was sent, what came of it, and both listings, for study')
    .option('--json <file>', 'the result as JSON')
    .option('-q, --quiet', 'no report')
    .action((captures: string[], options: VerifyCliOptions) =>
      interruptible(async (signal) => {
        const { runVerification } = await import('./verification.js');
        await runVerification(captures, options, signal);
      }),
    );
}
