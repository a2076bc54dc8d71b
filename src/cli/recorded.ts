/** `natreplay verify --recorded`: captures of both sides of a host against themselves. */
import { printable } from '../errors.js';
import type { CaptureInput } from '../pipeline/replay.js';
import { writeTextFile } from '../report/files.js';
import { colours } from '../report/page.js';
import { createProgress, type Progress } from '../report/progress.js';
import type { TableName } from '../rules/types.js';
import { recordedJsonText } from '../verify/recorded/json.js';
import { allAgree, recordedText } from '../verify/recorded/report.js';
import { type RecordedOptions, type RecordedResult, verifyRecorded } from '../verify/recorded/run.js';
import { loadHost, loadRules } from './inputs.js';

export interface RecordedCliOptions {
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly unsupported: 'stop' | 'skip';
  readonly tables?: readonly TableName[];
  readonly json?: string;
  readonly quiet?: boolean;
}

interface RuleFiles {
  readonly rules: readonly string[];
  readonly rules6: readonly string[];
}

/** A check that was asked for failed. */
const DISAGREES = 1;
const WIDTH_WITHOUT_TERMINAL = 100;

export async function againstRecording(
  captures: readonly CaptureInput[],
  ruleFiles: RuleFiles,
  options: RecordedCliOptions,
  signal: AbortSignal,
): Promise<void> {
  const host = loadHost({ host: options.host, iface: options.iface ?? [], route: options.route ?? [] });
  const rules = loadRules({ ...ruleFiles, unsupported: options.unsupported }, host, options.host);
  rules.warnings.forEach(warn);
  const { tables } = options;
  const { report } = await withProgress({ captures, host, rules: rules.ipv4, rules6: rules.ipv6, tables, signal });
  if (options.json !== undefined) await writeTextFile(options.json, recordedJsonText(report));
  for (const warning of report.warnings) warn(warning);
  if (options.quiet !== true) {
    const stream = options.json === '-' ? process.stderr : process.stdout;
    const colour = stream.isTTY === true && process.env['NO_COLOR'] === undefined;
    stream.write(recordedText(report, { colours: colours(colour), width: stream.columns ?? WIDTH_WITHOUT_TERMINAL }));
  }
  if (!allAgree(report)) process.exitCode = DISAGREES;
}

/** Runs with progress on a terminal. */
export async function withProgress(options: RecordedOptions): Promise<RecordedResult> {
  let progress: Progress | undefined;
  return verifyRecorded({
    ...options,
    onStart: (totalBytes) => {
      progress = createProgress({ stream: process.stderr, totalBytes });
    },
    onProgress: (bytes, packets) => progress?.update(bytes, packets),
  }).finally(() => progress?.stop());
}

function warn(text: string): void {
  process.stderr.write(`natreplay: warning: ${printable(text)}\n`);
}
