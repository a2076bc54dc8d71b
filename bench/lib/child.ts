/** Runs a program and measures it from outside: wall and processor time, and the peak of its resident memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Measured {
  readonly seconds: number;
  /**
   * Processor time of all its threads, user and system, as of the last reading: in ticks of 10 ms, so only for programs that
   * run for a second or so. What others do on the machine moves it far less than it moves the wall time.
   */
  readonly processorSeconds: number;
  /**
   * VmHWM of /proc/PID/status: the kernel's own high-water mark, read every few milliseconds, so only growth in the last of
   * these can be missed. 0 when the program ended before the first reading, or there is no /proc.
   */
  readonly peakBytes: number;
  readonly stdout: string;
}

const POLL_MILLISECONDS = 5;
/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Runs to the end; a program that fails is an error with the end of its standard error. */
export async function measure(command: string, args: readonly string[]): Promise<Measured> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const watch = watchUsage(child);
  const output = ended({ child, name: `${command} ${args.join(' ')}` });
  const stdout = await output.finally(watch.stop);
  return { seconds: (output.endedAt() - start) / 1000, ...watch.usage(), stdout };
}

export interface Usage {
  readonly peakBytes: number;
  readonly processorSeconds: number;
}

/** Polls what a running child has used until it is stopped. */
export function watchUsage(child: ChildProcess): { usage(): Usage; stop(): void } {
  let peakBytes = 0;
  let processorSeconds = 0;
  const read = (): void => {
    peakBytes = Math.max(peakBytes, peakMemory(child.pid));
    processorSeconds = Math.max(processorSeconds, processorTime(child.pid));
  };
  const timer = setInterval(read, POLL_MILLISECONDS);
  return { usage: () => ({ peakBytes, processorSeconds }), stop: () => clearInterval(timer) };
}

interface Running {
  readonly child: ChildProcess;
  /** For messages. */
  readonly name: string;
  /** `ignored`: somebody else reads its standard output. */
  readonly stdout?: 'ignored';
}

/** Settles with a child's standard output when it has ended; failing is an error with the end of its standard error. */
export function ended({ child, name, stdout: use }: Running): Promise<string> & { endedAt(): number } {
  let stdout = '';
  let stderr = '';
  let at = 0;
  if (use !== 'ignored') {
    child.stdout?.on('data', (text: Buffer) => {
      stdout += text.toString();
    });
  }
  child.stderr?.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-2000);
  });
  child.on('exit', () => {
    at = performance.now();
  });
  const promise = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${name}: ended with ${signal ?? code}\n${stderr.trim()}`));
    });
  });
  return Object.assign(promise, { endedAt: () => at });
}

function peakMemory(pid: number | undefined): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return Number(found?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has ended, or this is not Linux.
  }
}

/** utime and stime of proc(5), fields 14 and 15; the second field, the name, may hold spaces. */
function processorTime(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** Where a program is, or undefined. */
export function findProgram(name: string): string | undefined {
  const { PATH = '' } = process.env;
  return PATH.split(delimiter)
    .map((directory) => join(directory, name))
    .find((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}
