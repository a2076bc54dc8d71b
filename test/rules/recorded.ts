/** Reads iptables-1.8.9.txt: rules, and what iptables makes of them. */
import { readFileSync } from 'node:fs';
import type { Family } from '../../src/host/types.js';
import { isTableName, type TableName } from '../../src/rules/index.js';

export interface Recorded {
  readonly family: Family;
  readonly table: TableName;
  readonly rule: string;
  readonly saved: readonly string[];
  readonly listed: readonly string[];
  /** Error code of a rule that iptables refuses. */
  readonly refused: string | undefined;
  /** iptables-nft makes something else of it. */
  readonly legacyOnly: boolean;
}

export function recordedRules(): Recorded[] {
  const text = readFileSync(new URL('./iptables-1.8.9.txt', import.meta.url), 'utf8');
  const cases: { rule: string; saved: string[]; listed: string[]; refused: string | undefined }[] = [];
  const result: Recorded[] = [];
  let heading: { family: Family; table: TableName; legacyOnly: boolean } | undefined;
  for (const line of text.split('\n')) {
    const last = cases.at(-1);
    if (line.startsWith('#') || line === '') continue;
    if (line.startsWith('== ')) {
      const [family, table = '', legacy] = line.slice(3).split(' ');
      if (!isTableName(table)) throw new Error(line);
      heading = { family: family === '6' ? 6 : 4, table, legacyOnly: legacy === 'legacy' };
    } else if (line.startsWith('  > ')) last?.saved.push(line.slice(4));
    else if (line.startsWith('  | ')) last?.listed.push(line.slice(4));
    else if (line.startsWith('  x ') && last !== undefined) last.refused = line.slice(4);
    else if (heading !== undefined) {
      const next = { rule: line, saved: [], listed: [], refused: undefined };
      cases.push(next);
      result.push(Object.assign(next, heading));
    }
  }
  return result;
}

/** A whole file around one rule. */
export function fileAround({ table, rule }: Pick<Recorded, 'table' | 'rule'>): string {
  return `*${table}\n:t - [0:0]\n:u - [0:0]\n${rule}\nCOMMIT\n`;
}
