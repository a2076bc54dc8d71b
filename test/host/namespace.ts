/** A network namespace of a test: one process keeps it alive, and with that process it is gone. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import type { Host } from '../../src/host/types.js';

export class Namespace {
  private constructor(
    private readonly keeper: ChildProcess,
    readonly pid: number,
  ) {}

  static async create(): Promise<Namespace> {
    const keeper = spawn('unshare', ['--net', 'sleep', '120'], { stdio: 'ignore' });
    const { pid } = keeper;
    if (pid === undefined) throw new Error('unshare did not start');
    // unshare becomes sleep once it is in its namespace.
    while (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net') || !isSleep(pid)) await sleep(5);
    return new Namespace(keeper, pid);
  }

  /** Runs shell lines inside; their output. Throws when one fails. */
  run(script: string): string {
    return execFileSync('nsenter', ['--net', '--target', String(this.pid), 'bash', '-ec', script], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }

  /** Like run, for commands that may well fail: output and errors together. */
  ask(command: string): string {
    return this.run(`{ ${command}; } 2>&1 || true`);
  }

  /** The host as natreplay reads it from iproute2's own JSON. */
  host(): Host {
    const questions = {
      addr: 'ip -d -j addr',
      rule: 'ip -j rule',
      rule6: 'ip -j -6 rule',
      route: 'ip -j route show table all',
      route6: 'ip -j -6 route show table all',
    };
    const answers = this.run(Object.values(questions).join('; echo ----;')).split('----\n');
    const file = Object.fromEntries(
      Object.keys(questions).map((key, i): [string, unknown] => [key, JSON.parse(answers[i] ?? '')]),
    );
    return makeHost(describeHostText(JSON.stringify(file), 'namespace'));
  }

  /** The host as natreplay makes it of the addresses alone. */
  hostOfAddresses(sysctl: Record<string, string> = {}): Host {
    const file = { addr: JSON.parse(this.run('ip -j addr')), sysctl };
    return makeHost(describeHostText(JSON.stringify(file), 'namespace'));
  }

  remove(): void {
    this.keeper.kill('SIGKILL');
  }
}

function isSleep(pid: number): boolean {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sleep');
}
