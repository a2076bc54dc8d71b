/**
 * Network namespaces that cannot be left behind. A reaper, in a session of its own so that Ctrl-C does not reach it,
 * reads from a pipe that only this process holds open: when the pipe closes, because the run is over or because the
 * process died of whatever (even SIGKILL), it ends what still runs inside the namespaces and removes them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { runChecked } from './commands.js';

const REAPER = `
cat > /dev/null
for name; do
  [ -e "/run/netns/$name" ] || [ -e "/var/run/netns/$name" ] || continue
  for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done
  ip netns delete "$name"
done
`;

export class Namespaces {
  /** Holds the emulated host. */
  readonly gateway: string;
  /** Holds the other end of each of its interfaces. */
  readonly wires: string;
  readonly #reaper: ChildProcess;
  readonly #reaped: Promise<void>;

  private constructor(prefix: string) {
    this.gateway = `${prefix}-gateway`;
    this.wires = `${prefix}-wires`;
    this.#reaper = spawn('sh', ['-c', REAPER, 'sh', this.gateway, this.wires], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#reaper.unref();
    const pipe = this.#reaper.stdin;
    if (pipe instanceof Socket) pipe.unref();
    this.#reaped = new Promise((resolve) => {
      this.#reaper.on('close', () => resolve());
      this.#reaper.on('error', () => resolve());
    });
  }

  /** Makes both namespaces, named `natreplay-<pid>-<random>-...`. */
  static async create(): Promise<Namespaces> {
    const namespaces = new Namespaces(`natreplay-${process.pid}-${randomBytes(4).toString('hex')}`);
    try {
      await runChecked('making network namespaces', ['ip', 'netns', 'add', namespaces.gateway]);
      await runChecked('making network namespaces', ['ip', 'netns', 'add', namespaces.wires]);
      return namespaces;
    } catch (error) {
      await namespaces.remove();
      throw error;
    }
  }

  /** Command line that runs `argv` inside a namespace. */
  static inside(name: string, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', name, ...argv];
  }

  /** Ends what runs in the namespaces and removes them. Safe to call twice. */
  async remove(): Promise<void> {
    this.#reaper.ref();
    this.#reaper.stdin?.end();
    await this.#reaped;
  }
}
