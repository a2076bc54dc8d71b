/**
 * The main job: captures in, the translated capture out.
 *
 *   reader ─▶ slab ─▶ parse ─▶ ingress ─▶ track ─▶ outputs ─▶ padding ─▶ writer
 *
 * One thread runs the stages; reading ahead and writing behind overlap with them. Two slabs take turns: while one is
 * being written, the other is worked on.
 */
import { mergeCaptures } from '../capture/merge.js';
import { openCapture } from '../capture/reader.js';
import type { Slab } from '../capture/slab.js';
import type { CaptureReader, CaptureWriter } from '../capture/types.js';
import { createCaptureWriter } from '../capture/write/writer.js';
import { NatreplayError } from '../errors.js';
import { inferHost } from '../host/infer/infer.js';
import type { Host } from '../host/types.js';
import { Engine } from '../netfilter/engine.js';
import type { PortChooser } from '../netfilter/nat/portchoice.js';
import type { ChecksumMode } from '../packet/parse.js';
import { openTextSink, type TextSink } from '../report/files.js';
import { PacketLogFormatter } from '../report/packetlog.js';
import type { ReplayResult } from '../report/types.js';
import type { Ruleset, TableName } from '../rules/types.js';
import { Workspace } from '../workspace.js';
import { IngressStage, LOCAL_NAME } from './ingress.js';
import { OutputStage } from './outputs.js';
import type { Pace } from './pace.js';
import { PacketLogStage } from './packetlog.js';
import { samplePackets } from './samples.js';
import { Bench, Stages } from './stages.js';
import { RunSummary } from './summary.js';

export interface CaptureInput {
  /** `-` is standard input. */
  readonly path: string;
  /** Interface it was taken on, `@local` for the host itself; undefined: as the capture says. */
  readonly iface?: string | undefined;
}

export interface ReplayOptions {
  readonly captures: readonly CaptureInput[];
  /** Undefined: inferred from the rules and the capture. */
  readonly host?: Host | undefined;
  /** IPv4 rules; undefined: none, the packets are only routed. */
  readonly rules?: Ruleset | undefined;
  /** IPv6 rules; undefined: none, IPv6 packets are only routed. */
  readonly rules6?: Ruleset | undefined;
  /** Output capture: a path, `-`, or a path with `{iface}`; undefined: nothing is written. */
  readonly output?: string | undefined;
  readonly packetLog?: string | undefined;
  /** Seed of every random choice; default 1. */
  readonly seed?: number | undefined;
  /** Knows ports that a real host drew at random. */
  readonly portChooser?: PortChooser | undefined;
  /** Default `offload`. */
  readonly checksums?: ChecksumMode | undefined;
  /** Default `copy`. */
  readonly nonIp?: 'copy' | 'drop' | undefined;
  /** Records the host sent itself: left out (default), translated like all others, or copied as they are. */
  readonly outgoing?: 'skip' | 'replay' | 'copy' | undefined;
  readonly writeLocal?: boolean | undefined;
  /** Write the host's own answers to packets that it refuses, each behind the packet that caused it. */
  readonly hostPackets?: boolean | undefined;
  /** The only tables to be evaluated, of both families; undefined: all. */
  readonly tables?: readonly TableName[] | undefined;
  /** Bytes of a slab; default 512 KiB. */
  readonly slabBytes?: number | undefined;
  /** False leaves the WebAssembly loops out: slower, with the same outcome; tests hold the one against the other. */
  readonly hotPath?: boolean | undefined;
  /** Packets are taken when they are due, for whoever reads the output as it comes; undefined: as fast as can be. */
  readonly pace?: Pace | undefined;
  /** Times that the captures are gone through, default 1; not for standard input. */
  readonly loop?: number | undefined;
  /** Stops the run; outputs stay as `.partial`. */
  readonly signal?: AbortSignal | undefined;
  /** Called after every slab with the bytes read and the packets done so far. */
  readonly onProgress?: ((bytes: number, packets: number) => void) | undefined;
  /** Called once, when the inputs are open; bytes in all if that is known. */
  readonly onStart?: ((totalBytes: number | undefined) => void) | undefined;
}

/** What a replay leaves behind besides its files: the result, and the engine for listings of rules and connections. */
export interface Replay {
  readonly result: ReplayResult;
  readonly engine: Engine;
}

const SLAB_BYTES = 512 * 1024;

/** Replays captures through the host's rules. Throws NatreplayError; then no output has its final name. */
export async function replay(options: ReplayOptions): Promise<Replay> {
  const readers: CaptureReader[] = [];
  try {
    for (const { path, iface } of options.captures) readers.push(await openCapture(path, { assignedName: iface }));
    const [first] = readers;
    if (first === undefined)
      throw new NatreplayError('USAGE_NO_CAPTURE', 'no capture is named', {
        advice: 'name a file, or - for standard input',
      });
    const reader = mergeCaptures(readers);
    return await new ReplayRun(options, readers, await paced(reader, options)).run();
  } finally {
    for (const reader of readers) await reader.close();
  }
}

/** The reader as it is, or what hands its records over again, or at a pace. */
async function paced(reader: CaptureReader, options: ReplayOptions): Promise<CaptureReader> {
  const { pace, loop = 1, captures, signal } = options;
  if (pace === undefined && loop === 1) return reader;
  const { LoopReader, PacedReader } = await import('./paced.js');
  const again = async (): Promise<CaptureReader> =>
    mergeCaptures(await Promise.all(captures.map(({ path, iface }) => openCapture(path, { assignedName: iface }))));
  const looped = loop === 1 ? reader : new LoopReader(reader, loop, again);
  return pace === undefined ? looped : new PacedReader(looped, pace, signal);
}

class ReplayRun {
  private writer: CaptureWriter | undefined;
  private log: TextSink | undefined;
  private readonly lines = new PacketLogFormatter();
  /** The hot path fills no columns, which a packet log wants of every packet. */
  private readonly workspace: Workspace | undefined;

  constructor(
    private readonly options: ReplayOptions,
    private readonly readers: readonly CaptureReader[],
    private readonly reader: CaptureReader,
  ) {
    if (options.packetLog === undefined && options.hotPath !== false) this.workspace = Workspace.create();
  }

  async run(): Promise<Replay> {
    const started = performance.now();
    const benches = [this.newBench(), this.newBench()] as const;
    try {
      await this.openOutputs();
      this.options.onStart?.(this.totalBytes());
      const [bench] = benches;
      let more = await this.reader.next(bench.slab);
      const host = this.options.host ?? this.infer(this.reader.ahead ?? bench.slab);
      this.checkNames(host);
      const stages = this.stages(host);
      this.writer = await this.openWriter(stages.outputs);
      for (let turn = 0; more; turn++) {
        this.options.signal?.throwIfAborted();
        const now = benches[turn % 2 === 0 ? 0 : 1];
        const next = benches[turn % 2 === 0 ? 1 : 0];
        await this.work(now, stages);
        await next.written;
        more = await this.reader.next(next.slab);
      }
      await Promise.all(benches.map(({ written }) => written));
      await this.finish();
      stages.finish();
      const seconds = (performance.now() - started) / 1000;
      return { result: stages.summary.result(this.outcome(stages, seconds)), engine: stages.engine };
    } catch (error) {
      await Promise.allSettled(benches.map(({ written }) => written));
      await this.writer?.abort();
      await this.log?.abort();
      throw error;
    }
  }

  private newBench(): Bench {
    return new Bench(this.options.slabBytes ?? SLAB_BYTES, this.workspace);
  }

  private totalBytes(): number | undefined {
    let total = 0;
    for (const { totalBytes } of this.readers) {
      if (totalBytes === undefined) return undefined;
      total += totalBytes;
    }
    return total;
  }

  private async openOutputs(): Promise<void> {
    const { packetLog } = this.options;
    if (packetLog !== undefined) this.log = await openTextSink(packetLog);
  }

  private async openWriter(outputs: OutputStage): Promise<CaptureWriter | undefined> {
    const { output, captures } = this.options;
    if (output === undefined) return undefined;
    return createCaptureWriter(output, {
      source: this.reader,
      outputs: outputs.interfaces,
      inputs: captures.map(({ path }) => path),
    });
  }

  private infer(slab: Slab): Host {
    return inferHost({ rulesets: this.rulesets(), samples: samplePackets(slab, this.reader.interfaces) });
  }

  private rulesets(): Ruleset[] {
    const { rules, rules6 } = this.options;
    return [rules, rules6].filter((ruleset) => ruleset !== undefined);
  }

  /** A name on the command line must be one of the host's. */
  private checkNames(host: Host): void {
    for (const { path, iface } of this.options.captures) {
      if (iface === undefined || iface === LOCAL_NAME || host.interfaceByName(iface) !== undefined) continue;
      const names = host.interfaces.map(({ name }) => name).join(', ');
      throw new NatreplayError(
        'USAGE_UNKNOWN_INTERFACE',
        `${iface}=${path} names an interface the host does not have`,
        {
          advice: `it has ${names}; state it with --iface ${iface}=ADDRESS/LENGTH`,
        },
      );
    }
  }

  private stages(host: Host): Stages {
    const { rules, rules6, seed = 1, portChooser, nonIp, outgoing, output } = this.options;
    const { checksums = 'offload', writeLocal = false, hostPackets, tables } = this.options;
    const { workspace } = this;
    const choices = { seed, portChooser, checksums, hostPackets, tables };
    const engine = new Engine(host, rules, { rules6, workspace, packetLogs: this.log !== undefined, ...choices });
    const { interfaces } = this.reader;
    const outputs = new OutputStage(host, interfaces, {
      copyIgnored: nonIp !== 'drop',
      copyOutgoing: outgoing === 'copy',
      writeLocal,
      split: output?.includes('{iface}') ?? false,
    });
    return new Stages({
      engine,
      outputs,
      ingress: new IngressStage(host, interfaces, outgoing !== 'replay'),
      log: this.log === undefined ? undefined : new PacketLogStage(host, engine, interfaces, outputs),
      summary: new RunSummary(host, engine, this.rulesets(), tables),
      interfaces,
      hostInterfaces: host.interfaces.length,
      checksums,
      writeLocal,
      workspace: this.workspace,
    });
  }

  private async work(bench: Bench, stages: Stages): Promise<void> {
    const { slab, output } = bench;
    stages.run(bench);
    if (stages.log !== undefined) await this.writeLog(stages.log, bench);
    if (this.writer !== undefined) {
      bench.written = this.writer.write(slab, output, bench.extras);
      // The error is taken up where the promise is awaited; until then it must not count as unhandled.
      bench.written.catch(() => {});
    }
    this.options.onProgress?.(
      this.readers.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
      stages.summary.records,
    );
  }

  private async writeLog(stage: PacketLogStage, bench: Bench): Promise<void> {
    const { slab, columns, results, output, position, extras } = bench;
    let next = 0;
    for (let i = 0; i < slab.records.count; i++) {
      const first = next;
      while (extras[next]?.after === i) next++;
      this.lines.add(stage.entry(slab, columns, results, output, position, i, extras.slice(first, next)));
      if (this.lines.full) await this.log?.write(this.lines.take());
    }
  }

  private async finish(): Promise<void> {
    await this.log?.write(this.lines.take());
    await this.writer?.close();
    await this.log?.close();
  }

  private outcome(stages: Stages, elapsedSeconds: number): Parameters<RunSummary['result']>[0] {
    const { packetLog } = this.options;
    return {
      readers: this.readers,
      outputs: this.writer?.files ?? [],
      texts:
        packetLog === undefined || this.log === undefined
          ? []
          : [{ path: packetLog, what: 'packet log', bytes: this.log.bytes }],
      serviceTime: stages.serviceTime.summary(),
      elapsedSeconds,
    };
  }
}
