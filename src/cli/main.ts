#!/usr/bin/env node
/** `natreplay`: the command line. Errors are one line on stderr; exit codes as in README. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { NatreplayError, printable } from '../errors.js';
import { benchCommand } from './bench.js';
import { compareCommand } from './compare.js';
import { explainCommand } from './explain.js';
import { generateCommand } from './generate.js';
import { replayCommand } from './replay.js';
import { rulesCommand } from './rules.js';
import { dieBySignal, Interrupted } from './signals.js';
import { snapshotCommand } from './snapshot.js';
import { verifyCommand } from './verify.js';
import { version } from './version.js';

const USAGE = 2;
const FAILED = 3;
/** Exit codes above are a signal's number more. */
const BY_SIGNAL = 128;

export function program(): Command {
  const command = new Command('natreplay')
    .description("replay packet captures through a Linux host's iptables rules")
    .version(version(), '-V, --version')
    .addCommand(replayCommand())
    .addCommand(explainCommand())
    .addCommand(rulesCommand())
    .addCommand(snapshotCommand())
    .addCommand(generateCommand())
    .addCommand(verifyCommand())
    .addCommand(benchCommand())
    .addCommand(compareCommand());
  for (const each of withSubcommands(command)) {
    each.exitOverride().configureOutput({ outputError: () => {} });
    each.showSuggestionAfterError();
  }
  return command;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Runs a command line (without node and script) and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version have been printed and are no errors.
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return USAGE;
    const said = error.message.replace(/^error: |\.$/g, '').replace(/\n/g, ' ');
    // `argument 'x' is invalid. It must be a number.` is one sentence here.
    say(
      `${said.replace(/ is invalid\. (.)/, (_, first: string) => ` is invalid: ${first.toLowerCase()}`)}; see natreplay --help`,
    );
    return USAGE;
  }
  if (error instanceof Interrupted) {
    say(error.message);
    return error.exitCode;
  }
  if (error instanceof NatreplayError) {
    say(error.message);
    return error.exitCode;
  }
  say(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}; please report it`);
  return FAILED;
}

function say(text: string): void {
  process.stderr.write(`natreplay: ${printable(text)}\n`);
}

/** True when this file is what node was started with, also through the link that npm makes. */
function isMain(): boolean {
  const [, script] = process.argv;
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

if (isMain()) {
  // A reader that goes away (`| head`) while the report is printed: everything else has been written by then.
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    say(`standard output: ${code === 'EPIPE' ? 'the reader went away before everything was written' : message}`);
    process.exit(FAILED);
  });
  const code = await main(process.argv.slice(2));
  process.exitCode = code;
  if (code > BY_SIGNAL) dieBySignal(code - BY_SIGNAL);
}
