/** `natreplay rules extensions`: every match and target that rules may hold, and what is done with it. */
import { type ListedExtension, listExtensions, remarksOf } from '../rules/extension-list.js';
import { TABLE_NAMES } from '../rules/tables.js';

export interface RulesExtensionsOptions {
  readonly json?: boolean;
}

/** Prints to standard output: a table, or JSON. */
export function printExtensions({ json }: RulesExtensionsOptions): void {
  const extensions = listExtensions();
  process.stdout.write(json === true ? `${JSON.stringify({ extensions }, undefined, 2)}\n` : tableOf(extensions));
}

function tableOf(extensions: readonly ListedExtension[]): string {
  const rows = extensions.map((extension) => {
    const { kind, name, tables, support, summary } = extension;
    const remarks = remarksOf({ ...extension, support: 'evaluated' });
    const where = tables.length === TABLE_NAMES.length ? '' : tables.join(',');
    return [kind, name, support === 'parsed' ? 'parsed only' : support, remarks, where, summary];
  });
  const head = ['kind', 'name', 'support', 'family', 'tables', 'what it is'];
  const widths = head.map((title, k) => Math.max(title.length, ...rows.map((row) => (row[k] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, k) => cell.padEnd(widths[k] ?? 0))
      .join('  ')
      .trimEnd();
  return `${[head, ...rows].map(line).join('\n')}\n`;
}
