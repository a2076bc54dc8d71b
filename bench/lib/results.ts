/** Results as files: bench/results/NAME-TIME.json, with the machine they were measured on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { machine } from './machine.js';

const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

/** Writes a result and returns the path of its file. */
export function writeResult(name: string, result: object): string {
  mkdirSync(RESULTS, { recursive: true });
  const taken = new Date().toISOString();
  const path = join(RESULTS, `${name}-${taken.replace(/[:.]/g, '-')}.json`);
  writeFileSync(path, `${JSON.stringify({ schema: 1, name, taken, machine: machine(), ...result }, undefined, 2)}\n`);
  return path;
}
