/**
 * Writes the tables of README.md that say what the program itself knows: options and extensions. A test holds them equal.
 * After a change: `npx tsx scripts/readme.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { replayCommand } from '../src/cli/replay.js';
import { listExtensions, remarksOf } from '../src/rules/extension-list.js';

const README = new URL('../README.md', import.meta.url);

const SECTIONS: Readonly<Record<string, () => string>> = {
  options: optionsTable,
  matches: () => extensionsTable('match'),
  targets: () => extensionsTable('target'),
};

/** README's text with every generated table as it must be. Throws when its place is not marked. */
export function withTables(readme: string): string {
  let text = readme;
  for (const [name, table] of Object.entries(SECTIONS)) {
    const place = new RegExp(`(<!-- ${name}: scripts/readme.ts -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
    if (!place.test(text)) throw new Error(`README.md has no place for '${name}'`);
    text = text.replace(place, (_, begin: string, end: string) => `${begin}\n${table()}\n\n${end}`);
  }
  return text;
}

function optionsTable(): string {
  const rows = replayCommand().options.map(({ flags, description, defaultValue, argChoices }) => [
    `\`${flags}\``,
    `${description}${argChoices === undefined ? '' : ` (${argChoices.map((word) => `\`${word}\``).join(', ')})`}`,
    defaultText(defaultValue),
  ]);
  return table([['option', 'what it is', 'default'], ...rows]);
}

function defaultText(value: unknown): string {
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return '';
  return `\`${value}\``;
}

function extensionsTable(kind: 'match' | 'target'): string {
  const rows = listExtensions()
    .filter((extension) => extension.kind === kind)
    .map((extension) => {
      const remarks = remarksOf(extension);
      return [`\`${extension.name}\``, `${extension.summary}${remarks === '' ? '' : ` (${remarks})`}`];
    });
  return table([[kind, 'what it does'], ...rows]);
}

/** Columns padded to one width, as people write tables that are read as text, too. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, k) => Math.max(...rows.map((row) => (row[k] ?? '').length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, k) => cell.padEnd(widths[k] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(README, withTables(readFileSync(README, 'utf8')));
