/** Ctrl-C and SIGTERM: the run stops, outputs stay as `.partial`, the exit code is 128 + the signal's number. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** A run that does not stop by itself within this many milliseconds is ended. */
const PATIENCE = 5000;

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
    if (controller.signal.aborted) process.exit(reason.exitCode);
    controller.abort(reason);
    setTimeout(() => process.exit(reason.exitCode), PATIENCE).unref();
  };
  for (const name of SIGNALS) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
  }
}
