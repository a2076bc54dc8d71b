/** `natreplay verify`: the same packets through natreplay and through the kernel of this machine, compared. */
import { release } from 'node:os';
import { NatreplayError, printable } from '../errors.js';
import { makeHost } from '../host/machine.js';
import { limitedTo } from '../netfilter/needs.js';
import type { CaptureInput } from '../pipeline/replay.js';
import { writeTextFile } from '../report/files.js';
import { createProgress, type Progress } from '../report/progress.js';
import { parseRules } from '../rules/parse.js';
import { printRules } from '../rules/print.js';
import type { Ruleset, TableName } from '../rules/types.js';
import { decideInTurn } from '../verify/chance.js';
import { requireKernelTools } from '../verify/gateway.js';
import { inferredHostFile, statedHostFile } from '../verify/host.js';
import { verifyJsonText } from '../verify/json.js';
import { Keeper } from '../verify/keep.js';
import { agrees, verifyReport } from '../verify/report.js';
import { type VerifyOptions, type VerifyResult, verify } from '../verify/verify.js';
import { withoutUnsupported } from '../verify/withoutunsupported.js';
import { captureInput, type LoadedRules, loadRules } from './inputs.js';
import { checkPaths, type NamedPath } from './paths.js';
import { againstRecording } from './recorded.js';
import { separateCaptures } from './separate.js';
import type { VerifyCliOptions } from './verify.js';

/** Mismatches of each kind that the report shows; the JSON has more. */
const MOST_SHOWN = 10;
/** A check that was asked for failed. */
const DIFFERS = 1;

/** Runs `natreplay verify`. Throws NatreplayError; a check that failed sets the exit code. */
export async function runVerification(
  named: readonly string[],
  options: VerifyCliOptions,
  signal: AbortSignal,
): Promise<void> {
  const { captures, ...ruleFiles } = separateCaptures(named, options.rules ?? [], options.rules6 ?? []);
  if (captures.length === 0)
    throw new NatreplayError('USAGE_NO_CAPTURE', 'no capture is named', { advice: 'name a file' });
  const inputs = captures.map(captureInput);
  if (options.recorded === true) {
    checkRecorded(options);
    checkPaths(inputPaths(inputs, ruleFiles, options.host), outputPaths(options));
    return againstRecording(inputs, ruleFiles, options, signal);
  }
  if (inputs.some(({ path }) => path === '-'))
    throw new NatreplayError('USAGE_STDIN', 'verify reads captures twice, so it cannot read standard input', {
      advice: 'name a file',
    });
  checkPaths(inputPaths(inputs, ruleFiles, options.host), outputPaths(options));
  await againstKernel(inputs, ruleFiles, options, signal);
}

/** Nothing is sent, so there is nothing to keep. */
function checkRecorded({ keep }: VerifyCliOptions): void {
  if (keep === undefined) return;
  throw new NatreplayError('USAGE_KEEP_RECORDED', '--keep has no meaning with --recorded: nothing is sent', {
    advice: 'leave it out; --json FILE has the findings',
  });
}

function inputPaths(
  captures: readonly CaptureInput[],
  { rules, rules6 }: { readonly rules: readonly string[]; readonly rules6: readonly string[] },
  host: string | undefined,
): NamedPath[] {
  return [
    ...captures.map(({ path }) => ({ option: 'capture', path })),
    ...rules.map((path) => ({ option: '--rules', path })),
    ...rules6.map((path) => ({ option: '--rules6', path })),
    ...(host === undefined ? [] : [{ option: '--host', path: host }]),
  ];
}

function outputPaths({ json }: VerifyCliOptions): NamedPath[] {
  return json === undefined ? [] : [{ option: '--json', path: json }];
}

async function againstKernel(
  captures: readonly CaptureInput[],
  ruleFiles: { readonly rules: readonly string[]; readonly rules6: readonly string[] },
  options: VerifyCliOptions,
  signal: AbortSignal,
): Promise<void> {
  requireKernelTools(options.backend);
  const stated = statedHostFile({ file: options.host, iface: options.iface ?? [], route: options.route ?? [] });
  const { unsupported } = options;
  const statedHost = stated === undefined ? undefined : makeHost(stated.description);
  const rules = loadRules({ ...ruleFiles, unsupported }, statedHost, options.host);
  const rulesets = [rules.ipv4, rules.ipv6].filter((ruleset): ruleset is Ruleset => ruleset !== undefined);
  const host = stated ?? (await inferredHostFile(captures, rulesets));
  const keeper = options.keep === undefined ? undefined : await Keeper.open(options.keep);
  const ipv4 = rulesFor(rules, 4, options.tables);
  const ipv6 = rulesFor(rules, 6, options.tables);
  keeper?.listings({
    'host.json': `${JSON.stringify(host.hostFile, null, 2)}\n`,
    'rules.v4': ipv4.text,
    'rules.v6': ipv6.text === '' ? undefined : ipv6.text,
  });
  let progress: Progress | undefined;
  const settings: VerifyOptions = {
    ...host,
    captures,
    rules: ipv4.ruleset,
    rules6: ipv6.ruleset,
    rulesText: ipv4.text,
    rules6Text: ipv6.text === '' ? undefined : ipv6.text,
    backend: options.backend,
    keeper,
    signal,
    onStart: (records) => {
      progress = createProgress({ stream: process.stderr, totalBytes: records });
    },
    onProgress: (records, packets) => progress?.update(records, packets),
  };
  const result = await verify(settings).finally(async () => {
    progress?.stop();
    await keeper?.close();
  });
  const decided = ipv4.decided + ipv6.decided;
  if (decided > 0)
    warn(`${decided} rules that decide by chance (statistic --mode random) decide in turn instead, on both sides`);
  await tell(result, rules, options);
}

function warn(text: string): void {
  process.stderr.write(`natreplay: warning: ${printable(text)}\n`);
}

interface SharedRules {
  readonly ruleset: Ruleset | undefined;
  readonly text: string;
  /** Rules that decide in turn instead of by chance. */
  readonly decided: number;
}

/** The kernel gets the very text, unless tables or rules are left out or decide by chance: then both sides get the same others. */
function rulesFor(rules: LoadedRules, family: 4 | 6, tables: readonly TableName[] | undefined): SharedRules {
  const ruleset = family === 4 ? rules.ipv4 : rules.ipv6;
  if (ruleset === undefined) return { ruleset, text: '', decided: 0 };
  // iptables-restore does not take lines that end as on Windows.
  const texts = rules.texts.filter((one) => one.family === family).map(({ text }) => text.replaceAll('\r\n', '\n'));
  const isWhole = ruleset.skipped.length === 0 && tables === undefined;
  const known = isWhole ? texts.join('\n') : printRules(withoutUnsupported(limitedTo(ruleset, tables)));
  const { text, rules: decided } = decideInTurn(known);
  if (isWhole && decided === 0) return { ruleset, text, decided };
  return { ruleset: parseRules(text, { file: ruleset.file, family, unsupported: 'stop' }), text, decided };
}

async function tell(result: VerifyResult, rules: LoadedRules, options: VerifyCliOptions): Promise<void> {
  const kernel = `Linux ${release()}`;
  const { backend } = options;
  if (options.json !== undefined) await writeTextFile(options.json, verifyJsonText(result, { kernel, backend }));
  rules.warnings.forEach(warn);
  const skipped = [rules.ipv4, rules.ipv6].flatMap((ruleset) => ruleset?.skipped ?? []);
  if (skipped.length > 0) warn(`${skipped.length} rules are unknown and left out on both sides`);
  if (options.quiet !== true) {
    const stream = options.json === '-' ? process.stderr : process.stdout;
    stream.write(verifyReport(result, { kernel, backend, most: MOST_SHOWN }));
  }
  if (!agrees(result)) process.exitCode = DIFFERS;
}
