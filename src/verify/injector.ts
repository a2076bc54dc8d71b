/** A tcpreplay that sends each frame the moment it is written to its standard input. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { NatreplayError } from '../errors.js';
import { pcapHeader } from './frames.js';
import { INJECT } from './layout.js';
import { Namespaces } from './namespaces.js';

export interface InjectorOptions {
  readonly namespace: string;
  /** Words between the namespace and tcpreplay: the CPU it has to stay on. */
  readonly prefix: readonly string[];
  onFailure(error: Error): void;
}

export class Injector {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #said = '';
  #stopping = false;

  constructor(options: InjectorOptions) {
    const tcpreplay = ['tcpreplay', '--quiet', '--topspeed', '--no-flow-stats', `--intf1=${INJECT}`, '-'];
    const [command = '', ...args] = Namespaces.inside(options.namespace, [...options.prefix, ...tcpreplay]);
    this.#child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
    const failed = (what: string): void =>
      options.onFailure(new NatreplayError('VERIFY_INJECTOR_FAILED', what, { exitCode: 3 }));
    this.#child.on('error', (cause) => failed(`cannot run tcpreplay: ${cause.message}`));
    this.#child.on('close', () => {
      if (!this.#stopping) failed(`tcpreplay ended: ${this.#said.trim().replaceAll('\n', ' | ')}`);
    });
    // Its end says why; the pipe that broke says nothing more.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdin.write(pcapHeader());
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
