/** `natreplay rules check`: reads rules to their end and says how many there are, or everything that is wrong. */
import { NatreplayError, printable } from '../errors.js';
import { writeTextFile } from '../report/files.js';
import { type CheckedFile, rulesCheckText, summaryOf } from '../report/rulescheck.js';
import { warningText } from '../rules/listing/warning.js';
import { readRules, statedFamily } from '../rules/load.js';
import { readText } from './inputs.js';
import { checkPaths } from './paths.js';
import type { RulesCheckOptions } from './rules.js';

/** Errors of one file that are shown; JSON has them all. */
const MOST_SHOWN = 20;
const BAD_INPUT = 2;

/** Sets exit code 2 when a file does not load. */
export async function checkRules(files: readonly string[], options: RulesCheckOptions): Promise<void> {
  const { json } = options;
  checkPaths(
    files.map((path) => ({ option: 'rules', path })),
    json === undefined ? [] : [{ option: '--json', path: json }],
  );
  const checked = files.map((file) => check(file, options));
  for (const one of checked) {
    for (const warning of one.warnings) say(`warning: ${warningText(warning)}`);
    tellErrors(one);
  }
  if (json !== undefined) await writeTextFile(json, rulesCheckText(checked));
  if (options.quiet !== true && json !== '-') {
    for (const one of checked) if (one.errors.length === 0) process.stdout.write(`${printable(summaryOf(one))}\n`);
  }
  if (checked.some(({ errors }) => errors.length > 0)) process.exitCode = BAD_INPUT;
}

function check(file: string, { ipv6, table, unsupported }: RulesCheckOptions): CheckedFile {
  const errors: NatreplayError[] = [];
  const onError = (error: NatreplayError): void => {
    errors.push(error);
  };
  const text = readText(file);
  const family = ipv6 === true ? 6 : (statedFamily(text) ?? 4);
  // Only errors are shown with their lines.
  const linesFor = (found: readonly NatreplayError[]): readonly string[] =>
    found.length === 0 ? [] : text.split('\n');
  try {
    const reading = readRules(text, {
      file,
      family,
      unsupported: unsupported === 'stop' ? 'keep' : unsupported,
      table,
      onError,
    });
    return { file, family, lines: linesFor(errors), errors, ...reading };
  } catch (error) {
    if (!(error instanceof NatreplayError)) throw error;
    errors.push(error);
    return { file, family, lines: linesFor(errors), errors, ruleset: undefined, kind: undefined, warnings: [] };
  }
}

function tellErrors({ errors, lines, file }: CheckedFile): void {
  for (const error of errors.slice(0, MOST_SHOWN)) {
    say(error.message);
    const { line, column } = error.place;
    const text = line === undefined ? undefined : lines[line - 1]?.replace(/\r$/, '');
    if (text !== undefined && column !== undefined) process.stderr.write(pointAt(text, column));
  }
  if (errors.length > MOST_SHOWN) say(`${file}: ${errors.length - MOST_SHOWN} more errors; --json FILE has them all`);
}

const WINDOW = 100;

/** The line with a mark below the column (from 1); of a long line the part around it. */
function pointAt(line: string, column: number): string {
  const from = column > WINDOW - 20 ? column - 40 : 0;
  const before = printable(line.slice(from, column - 1));
  const text = printable(line.slice(from, from + WINDOW));
  return `    ${text}\n    ${' '.repeat(before.length)}^\n`;
}

function say(text: string): void {
  process.stderr.write(`natreplay: ${printable(text)}\n`);
}
