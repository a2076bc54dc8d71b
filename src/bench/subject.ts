/** A rule set under measurement, and a fresh host with it for every pass. */
import type { CaptureReader } from '../capture/types.js';
import type { Host } from '../host/types.js';
import { Engine } from '../netfilter/engine.js';
import type { ChecksumMode } from '../packet/parse.js';
import { IngressStage } from '../pipeline/ingress.js';
import { OutputStage } from '../pipeline/outputs.js';
import { Stages } from '../pipeline/stages.js';
import { RunSummary } from '../pipeline/summary.js';
import type { Ruleset, TableName } from '../rules/types.js';
import type { Workspace } from '../workspace.js';

export interface Subject {
  /** The name of its rule file, made distinct. */
  readonly label: string;
  readonly host: Host;
  readonly rules: Ruleset | undefined;
  readonly rules6: Ruleset | undefined;
}

/** What all passes have in common. */
export interface PassOptions {
  readonly seed: number;
  readonly checksums: ChecksumMode;
  readonly tables?: readonly TableName[] | undefined;
}

export function rulesetsOf({ rules, rules6 }: Subject): Ruleset[] {
  return [rules, rules6].filter((ruleset) => ruleset !== undefined);
}

/** Interfaces of an output that no pass writes anywhere but to /dev/null: as `replay` has them without options. */
export function newOutputs({ host }: Subject, { interfaces }: CaptureReader): OutputStage {
  return new OutputStage(host, interfaces, { copyIgnored: true, copyOutgoing: false, writeLocal: false, split: false });
}

export function newEngine(subject: Subject, options: PassOptions, workspace?: Workspace | undefined): Engine {
  const { host, rules, rules6 } = subject;
  const { seed, checksums, tables } = options;
  return new Engine(host, rules, { rules6, seed, checksums, tables, workspace });
}

/** The stages of a replay, with an engine that has seen nothing yet. */
export function newStages(
  subject: Subject,
  reader: CaptureReader,
  workspace: Workspace | undefined,
  options: PassOptions,
): Stages {
  const { host } = subject;
  const engine = newEngine(subject, options, workspace);
  return new Stages({
    engine,
    outputs: newOutputs(subject, reader),
    ingress: new IngressStage(host, reader.interfaces, true),
    log: undefined,
    summary: new RunSummary(host, engine, rulesetsOf(subject), options.tables),
    interfaces: reader.interfaces,
    hostInterfaces: host.interfaces.length,
    checksums: options.checksums,
    writeLocal: false,
    workspace,
  });
}
