/** `natreplay rules`: what can be said of rules alone. Each command's work is in a file that others need not load. */
import { Command, Option } from 'commander';
import { dockerCommand } from './rules-docker.js';
import { diffCommand, lintCommand } from './rules-meaning.js';
import { type RulesReadingOptions, readsRules } from './rules-reading.js';

export function rulesCommand(): Command {
  return new Command('rules')
    .description(
      'look at rules: iptables-save text, iptables -S, or listings (iptables -L), told apart by what they hold',
    )
    .addCommand(checkCommand())
    .addCommand(printCommand())
    .addCommand(extensionsCommand())
    .addCommand(lintCommand())
    .addCommand(diffCommand())
    .addCommand(dockerCommand());
}

export interface RulesCheckOptions extends RulesReadingOptions {
  readonly json?: string;
  readonly quiet?: boolean;
}

export interface RulesPrintOptions extends RulesReadingOptions {
  readonly format: 'save' | 'commands' | 'list';
  readonly counters?: boolean;
  readonly verbose?: boolean;
  readonly numeric?: boolean;
  readonly exact?: boolean;
  readonly lineNumbers?: boolean;
}

function checkCommand(): Command {
  const command = new Command('check')
    .description('whether rules load: how many there are, or what is wrong with them')
    .argument('<file...>', 'rules; - is standard input');
  return readsRules(command, 'the table of a listing that does not say so')
    .option('--json <file>', 'what was found as JSON; - is standard output')
    .option('-q, --quiet', 'no summary')
    .action(async (files: string[], options: RulesCheckOptions) => {
      const { checkRules } = await import('./rules-check.js');
      await checkRules(files, options);
    });
}

function printCommand(): Command {
  const command = new Command('print')
    .description('the rules as iptables would print them once they are loaded')
    .argument('<file>', 'rules; - is standard input')
    .argument('[chain]', 'this chain only (formats list and commands)');
  return readsRules(command, 'this table only; of a listing that does not say so, the table it is of')
    .addOption(
      new Option('--format <which>', 'as iptables-save, iptables -S, or iptables -L prints them')
        .choices(['save', 'commands', 'list'])
        .default('save'),
    )
    .option('-c, --counters', 'save: with the counters of every rule')
    .option('-v, --verbose', 'list, commands: with counters; list: with interfaces, too')
    .option('-n, --numeric', 'list: numbers instead of the names of services, protocols and networks')
    .option('-x, --exact', 'list: counters in full instead of 2965K')
    .option('--line-numbers', 'list: with the number of each rule')
    .action(async (file: string, chain: string | undefined, options: RulesPrintOptions) => {
      const { printRulesOf } = await import('./rules-print.js');
      await printRulesOf(file, chain, options);
    });
}

function extensionsCommand(): Command {
  return new Command('extensions')
    .description('every match and target that rules may hold: what it is, where it is allowed, whether it is evaluated')
    .option('--json', 'as JSON')
    .action(async (options: { readonly json?: boolean }) => {
      const { printExtensions } = await import('./rules-extensions.js');
      printExtensions(options);
    });
}
