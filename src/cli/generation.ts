/** `natreplay generate`: a profile's capture, host and rules. */
import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatOfPath } from '../capture/write/output-file.js';
import { NatreplayError } from '../errors.js';
import { MARK, type ScenarioPaths, writeCapture, writeScenario } from '../generate/generate.js';
import { trafficOf } from '../generate/options.js';
import { profileNamed } from '../generate/profiles.js';
import { captureBytes, type Traffic } from '../generate/traffic.js';
import { createProgress } from '../report/progress.js';
import type { GenerateCliOptions } from './generate.js';
import { checkPaths } from './paths.js';

/** Runs `natreplay generate`. Throws NatreplayError, and the signal's reason when it is aborted. */
export async function runGeneration(name: string, options: GenerateCliOptions, signal: AbortSignal): Promise<void> {
  const profile = profileNamed(name);
  const traffic = trafficOf(profile, { ...options, format: formatOfPath(options.write) ?? 'pcap' });
  const paths = scenarioPaths(options, traffic);
  checkPaths([], outputs(options.write, paths));
  for (const [option, path] of Object.entries(paths))
    if (options[option as keyof ScenarioPaths] === undefined) mayReplace(option, path);
  await writeScenario(traffic.plan, profile.name, paths);
  const start = performance.now();
  const progress =
    options.quiet === true
      ? undefined
      : createProgress({ stream: process.stderr, totalBytes: captureBytes(traffic.sizes, traffic.packets) });
  const bytes = await writeCapture(traffic, options.write, {
    signal,
    onProgress: (done) =>
      progress?.update(done, Math.round((done / captureBytes(traffic.sizes, traffic.packets)) * traffic.packets)),
  }).finally(() => progress?.stop());
  if (options.quiet === true) return;
  const seconds = (performance.now() - start) / 1000;
  const stream = options.write === '-' ? process.stderr : process.stdout;
  stream.write(summary(options.write, traffic, paths, bytes, seconds));
}

/** Beside the capture unless named; with the capture on standard output, only what is named. */
function scenarioPaths(options: GenerateCliOptions, { plan }: Traffic): ScenarioPaths {
  const { write, host, rules, rules6 } = options;
  const beside = (name: string): string | undefined => (write === '-' ? undefined : join(dirname(write), name));
  return {
    host: host ?? beside('host.json'),
    rules: rules ?? beside('rules.v4'),
    rules6: plan.rules6 === undefined ? undefined : (rules6 ?? beside('rules.v6')),
  };
}

function outputs(write: string, { host, rules, rules6 }: ScenarioPaths): { option: string; path: string }[] {
  const all = { '--write': write, '--host': host, '--rules': rules, '--rules6': rules6 };
  return Object.entries(all).flatMap(([option, path]) => (path === undefined ? [] : [{ option, path }]));
}

const BEGINNING = 256;

/** A name that nobody chose must not replace a file that somebody else wrote: host.json may be a real machine's. */
function mayReplace(option: string, path: string | undefined): void {
  if (path === undefined) return;
  const beginning = beginningOf(path);
  if (beginning === undefined || beginning.includes(MARK)) return;
  throw new NatreplayError('GENERATE_WOULD_REPLACE', 'is there already, and was not generated', {
    file: path,
    advice: `name another file, or this one, with --${option}`,
  });
}

function beginningOf(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const bytes = Buffer.alloc(BEGINNING);
    return bytes.toString('latin1', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

function summary(write: string, traffic: Traffic, paths: ScenarioPaths, bytes: number, seconds: number): string {
  const { packets, connections } = traffic;
  const count = (value: number): string => value.toLocaleString('en');
  const speed = (packets / seconds / 1e6).toFixed(1);
  const belonging = Object.values(paths).filter((path) => path !== undefined);
  return (
    `${write === '-' ? 'capture' : write}: ${count(packets)} packets of ${count(connections)} connections, ${(bytes / 1e6).toFixed(1)} MB, ` +
    `in ${seconds.toFixed(1)} s (${speed} M packets/s)\n` +
    (belonging.length === 0 ? '' : `with it: ${belonging.join(', ')}\n`)
  );
}
