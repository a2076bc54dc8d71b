/** Ctrl-C and SIGTERM: the run stops, outputs stay as `.partial`, the exit code is 128 + the signal's number. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** A run that does not stop by itself within this many milliseconds (it waits for input, say) is ended. */
const PATIENCE = 2000;

export class Interrupted extends Error {
  constructor(readonly signalName: (typeof SIGNALS)[number]) {
    super(`stopped by ${signalName}; unfinished outputs are left beside as .partial`);
  }

  get exitCode(): number {
    return 128 + constants.signals[this.signalName];
  }
}

/** Runs `work` with a signal that is aborted (reason: Interrupted) when the process is told to stop. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (name: (typeof SIGNALS)[number]): void => {
    const reason = new Interrupted(name);
    if (controller.signal.aborted) end(reason);
    controller.abort(reason);
    setTimeout(end, PATIENCE, reason).unref();
  };
  for (const name of SIGNALS) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
  }
}

/**
 * Dies by the signal itself, which to a shell is the same exit code: process.exit would wait for a read of standard
 * input that may never return.
 */
function end(reason: Interrupted): void {
  process.stderr.write(`natreplay: ${reason.message}\n`);
  process.removeAllListeners(reason.signalName);
  process.kill(process.pid, reason.signalName);
}
