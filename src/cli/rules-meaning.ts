/** `natreplay rules lint` and `rules diff`: their options. The work is in files that others need not load. */
import { Command } from 'commander';
import { type RulesReadingOptions, readsRules } from './rules-reading.js';

export interface RulesLintOptions extends RulesReadingOptions {
  readonly rules6?: string[];
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly json?: string;
  readonly strict?: boolean;
  readonly all?: boolean;
}

export interface RulesDiffOptions extends RulesReadingOptions {
  readonly json?: string;
  readonly comments?: boolean;
  readonly quiet?: boolean;
}

const collect = (value: string, before: string[] = []): string[] => [...before, value];

export function lintCommand(): Command {
  const command = new Command('lint')
    .description('what in rules cannot be meant as it stands: rules that never match, ports open to everybody, ...')
    .argument('[file...]', 'rules; - is standard input; none: those in the host file');
  return readsRules(command, 'the table of a listing that does not say so')
    .option('--rules6 <file...>', 'IPv6 rules beside them')
    .option('--host <file>', 'the host: JSON as natreplay snapshot writes it; routes and interfaces are checked then')
    .option('--iface <name=addresses>', 'an interface of the host: eth0=192.0.2.1/24 (may be repeated)', collect)
    .option('--route <dest=gateway@iface>', 'a route: default=192.0.2.254@eth0 (may be repeated)', collect)
    .option('--json <file>', 'what was found as JSON; - is standard output')
    .option('--all', 'every finding, also where many are alike')
    .option('--strict', 'exit code 1 if there is any error or warning')
    .action(async (files: string[], options: RulesLintOptions) => {
      const { lintFiles } = await import('./rules-lint.js');
      await lintFiles(files, options);
    });
}

export function diffCommand(): Command {
  const command = new Command('diff')
    .description('what differs in meaning between two rule sets, whatever their spelling; exit code 1 if anything does')
    .argument('<a>', 'rules')
    .argument('<b>', 'rules; - is standard input');
  return readsRules(command, 'the table of a listing that does not say so')
    .option('--comments', 'other comments make other rules')
    .option('--json <file>', 'the differences as JSON; - is standard output')
    .option('-q, --quiet', 'only the exit code')
    .action(async (a: string, b: string, options: RulesDiffOptions) => {
      const { diffFiles } = await import('./rules-diff.js');
      await diffFiles(a, b, options);
    });
}
