/** What a result was measured on. */
import { cpus, loadavg, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly arch: string;
  /** Load average of the minute before. */
  readonly load: number;
}

export function thisMachine(): Machine {
  const list = cpus();
  return {
    cpu: list[0]?.model.trim() || 'unknown',
    cores: list.length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    arch: process.arch,
    load: loadavg()[0] ?? 0,
  };
}

export function machineLine({ cpu, cores, memoryBytes, kernel, node, load }: Machine): string {
  const memory = (memoryBytes / 2 ** 30).toFixed(1);
  return `${cpu}, ${cores} cores, ${memory} GiB, ${kernel}, Node ${node}, load ${load.toFixed(1)}`;
}
