/** Ctrl-C and SIGTERM: the run stops, a replay's outputs stay as `.partial`, the exit code is 128 + the signal's number. */
import { constants } from 'node:os';
import { abandonReads } from '../capture/source.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** A run that does not stop by itself within this many milliseconds is ended. */
const PATIENCE = 2000;

type Stop = (name: (typeof SIGNALS)[number]) => void;
const listening = new Set<Stop>();

export class Interrupted extends Error {
  /** `left`: what the run leaves behind. */
  constructor(
    readonly signalName: (typeof SIGNALS)[number],
    left?: string,
  ) {
    super(`stopped by ${signalName}${left === undefined ? '' : `; ${left}`}`);
  }

  get exitCode(): number {
    return 128 + constants.signals[this.signalName];
  }
}

/**
 * Runs `work` with a signal that is aborted (reason: Interrupted) when the process is told to stop. `left` says what is
 * left behind then.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, left?: string): Promise<T> {
  const controller = new AbortController();
  const stop: Stop = (name) => {
    const reason = new Interrupted(name, left);
    if (controller.signal.aborted) end(reason);
    controller.abort(reason);
    abandonReads(reason);
    setTimeout(end, PATIENCE, reason).unref();
  };
  listening.add(stop);
  listen(stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    // Whatever failed after the signal failed because of it.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    listening.delete(stop);
    ignore(stop);
  }
}

/**
 * Runs what blocks the whole process (a synchronous read of standard input), during which no listener could run: a
 * signal ends the process meanwhile, as it does by default.
 */
export function mortally<T>(work: () => T): T {
  listening.forEach(ignore);
  try {
    return work();
  } finally {
    listening.forEach(listen);
  }
}

function listen(stop: Stop): void {
  for (const name of SIGNALS) process.on(name, stop);
}

function ignore(stop: Stop): void {
  for (const name of SIGNALS) process.off(name, stop);
}

function end(reason: Interrupted): void {
  process.stderr.write(`natreplay: ${reason.message}\n`);
  dieBySignal(constants.signals[reason.signalName]);
}

/**
 * Dies by the signal itself, which to a shell is the same exit code: process.exit would wait for a read of standard
 * input that may never return.
 */
export function dieBySignal(number: number): void {
  for (const name of SIGNALS) process.removeAllListeners(name);
  process.kill(process.pid, number);
}
