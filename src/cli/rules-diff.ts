/** `natreplay rules diff`: what differs in meaning between two rule sets. */
import { NatreplayError, printable } from '../errors.js';
import { writeTextFile } from '../report/files.js';
import { diffListing, rulesDiffText } from '../report/rulesdiff.js';
import { diffRules } from '../rules/diff/diff.js';
import { warningText } from '../rules/listing/warning.js';
import { type Reading, readRules, statedFamily } from '../rules/load.js';
import { readText } from './inputs.js';
import { checkPaths } from './paths.js';
import type { RulesDiffOptions } from './rules-meaning.js';

const DIFFERENT = 1;

/** Sets exit code 1 when anything differs in meaning. Throws NatreplayError. */
export async function diffFiles(a: string, b: string, options: RulesDiffOptions): Promise<void> {
  const { json, comments = false, quiet } = options;
  checkPaths(
    [a, b].map((path) => ({ option: 'rules', path })),
    json === undefined ? [] : [{ option: '--json', path: json }],
  );
  const [left, right] = [read(a, options), read(b, options)];
  const { ruleset } = left;
  if (ruleset.family !== right.ruleset.family) {
    throw new NatreplayError(
      'USAGE_FAMILIES',
      `${a} has IPv${ruleset.family} rules and ${b} has IPv${right.ruleset.family} rules`,
      { advice: 'compare rules of one family; -6 says that rules are of IPv6' },
    );
  }
  const bare = [left, right].some(({ warnings }) => warnings.some(({ code }) => code === 'LISTING_WITHOUT_INTERFACES'));
  const difference = diffRules(ruleset, right.ruleset, { comments, bare });
  if (json !== undefined) await writeTextFile(json, rulesDiffText(difference, a, b));
  if (quiet !== true && json !== '-') {
    const lines = diffListing(difference, a, b).split('\n');
    process.stdout.write(lines.map(printable).join('\n'));
  }
  if (!difference.same) process.exitCode = DIFFERENT;
}

function read(file: string, { ipv6, table, unsupported }: RulesDiffOptions): Reading {
  const text = readText(file);
  const family = ipv6 === true ? 6 : (statedFamily(text) ?? 4);
  const reading = readRules(text, { file, family, table, unsupported: unsupported === 'stop' ? 'keep' : unsupported });
  for (const warning of reading.warnings)
    process.stderr.write(`natreplay: warning: ${printable(warningText(warning))}\n`);
  return reading;
}
