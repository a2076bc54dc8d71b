/** What this process has used: processor time and memory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Processor time of all threads of this process, user and system, in seconds. */
export function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

let collect: (() => void) | undefined;

/** Collects garbage now, so that no run pays for what the one before it left. */
export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}

/** Forgets the peak of resident memory (proc(5): clear_refs), so that `peakMemory` tells that of what follows. */
export function forgetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** Resident memory of this process now and at its peak, in bytes; undefined where there is no /proc. */
export function residentMemory(): { readonly now: number; readonly peak: number } | undefined {
  try {
    const text = readFileSync('/proc/self/status', 'latin1');
    const of = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
    const [now, peak] = [of('VmRSS') * 1024, of('VmHWM') * 1024];
    return Number.isNaN(now) || Number.isNaN(peak) ? undefined : { now, peak };
  } catch {
    return undefined;
  }
}
