/** A tcpdump that runs for as long as its namespace is in use and hands over each record as it comes. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { NatreplayError } from '../errors.js';
import { type PcapRecord, PcapStream } from './frames.js';
import { Namespaces } from './namespaces.js';

export interface TapOptions {
  readonly namespace: string;
  /** Words between the namespace and tcpdump, e.g. taskset's. */
  readonly prefix: readonly string[];
  /** tcpdump's own options, without those about where it writes. */
  readonly args: readonly string[];
  readonly linkType: number;
  onRecord(record: PcapRecord): void;
  onFailure(error: Error): void;
}

export class Tap {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #stderr = '';
  #stopping = false;

  private constructor(options: TapOptions) {
    const tcpdump = ['tcpdump', '-n', '--immediate-mode', '-U', '-w', '-', ...options.args];
    const [command = '', ...args] = Namespaces.inside(options.namespace, [...options.prefix, ...tcpdump]);
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    const stream = new PcapStream();
    this.#child.stdout.on('data', (chunk: Buffer) => {
      const records = stream.push(chunk);
      if (stream.linkType !== undefined && stream.linkType !== options.linkType) {
        options.onFailure(failure(`tcpdump gave link type ${stream.linkType} instead of ${options.linkType}`));
        return;
      }
      for (const record of records) options.onRecord(record);
    });
    this.#child.on('error', (cause) => options.onFailure(failure(`cannot run tcpdump: ${cause.message}`)));
    this.#child.on('close', () => {
      if (!this.#stopping) options.onFailure(failure(`tcpdump ended: ${this.#stderr.trim().replaceAll('\n', ' | ')}`));
    });
  }

  /** Resolves when tcpdump is listening: no frame sent after that is missed. */
  static async start(options: TapOptions): Promise<Tap> {
    const tap = new Tap(options);
    await new Promise<void>((resolve, reject) => {
      tap.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
        tap.#stderr += text;
        if (tap.#stderr.includes('listening on')) resolve();
      });
      tap.#child.on('error', (cause) => reject(failure(`cannot run tcpdump: ${cause.message}`)));
      tap.#child.on('close', () => reject(failure(`tcpdump ended: ${tap.#stderr.trim().replaceAll('\n', ' | ')}`)));
    });
    return tap;
  }

  stop(): void {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
  }
}

function failure(what: string): NatreplayError {
  return new NatreplayError('VERIFY_TAP_FAILED', what, { exitCode: 3 });
}
