/** A program that sends each frame the moment it is written to its standard input, as records of a pcap file. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { NatreplayError } from '../errors.js';
import { pcapHeader } from './frames.js';
import { HOST_SENDER } from './hostsender.js';
import { INJECT, MARK_WIRE } from './layout.js';
import { Namespaces } from './namespaces.js';

export interface InjectorOptions {
  /** Of the wires. */
  readonly namespace: string;
  /** Words between the namespace and the program: the CPU it has to stay on. */
  readonly prefix: readonly string[];
  onFailure(error: Error): void;
}

export class Injector {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #said = '';
  #stopping = false;

  private constructor(program: string, argv: readonly string[], { namespace, prefix, onFailure }: InjectorOptions) {
    const [command = '', ...args] = Namespaces.inside(namespace, [...prefix, program, ...argv]);
    this.#child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
    const failed = (what: string): void =>
      onFailure(new NatreplayError('VERIFY_INJECTOR_FAILED', what, { exitCode: 3 }));
    this.#child.on('error', (cause) => failed(`cannot run ${program}: ${cause.message}`));
    this.#child.on('close', () => {
      if (!this.#stopping) failed(`${program} ended: ${this.#said.trim().replaceAll('\n', ' | ')}`);
    });
    // Its end says why; the pipe that broke says nothing more.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdin.write(pcapHeader());
  }

  /** tcpreplay, for frames that arrive at interfaces. */
  static ofFrames(options: InjectorOptions): Injector {
    return new Injector('tcpreplay', ['--quiet', '--topspeed', '--no-flow-stats', `--intf1=${INJECT}`, '-'], options);
  }

  /** python3, for these and for packets that the host itself sends (`hostRecord`), in namespace `gateway`. */
  static ofHost(options: InjectorOptions & { readonly gateway: string }): Injector {
    return new Injector('python3', ['-I', '-c', HOST_SENDER, INJECT, MARK_WIRE, options.gateway], options);
  }

  /** Records as frames.ts makes them. */
  send(records: readonly Uint8Array[]): void {
    this.#child.stdin.write(Buffer.concat(records));
  }

  stop(): void {
    this.#stopping = true;
    this.#child.stdin.end();
    this.#child.kill('SIGTERM');
  }
}
