/** What a page of text is made of: safe names, wrapped sentences, aligned columns, headings. */
import picocolors from 'picocolors';
import { printable } from '../errors.js';

export type Colours = ReturnType<typeof picocolors.createColors>;

export function colours(enabled: boolean): Colours {
  return picocolors.createColors(enabled);
}

/**
 * A name or sentence from outside, fit for a terminal: control characters as `\xNN`, and marks that turn the direction
 * of writing or break lines (with which `a<RLO>exe.txt` passes for another name) as `\u{NNNN}`.
 */
export function safe(text: string): string {
  return printable(text).replace(
    /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
  );
}

/** Characters as a terminal counts them, near enough for alignment: code points (wide ones count one). */
export function textWidth(text: string): number {
  return [...text].length;
}

/** Breaks at spaces so that lines fit; the first begins with `first`, the others with as many spaces. */
export function wrap(text: string, width: number, first = ''): string[] {
  const indent = ' '.repeat(textWidth(first));
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}

export interface Column {
  readonly align: 'left' | 'right';
}

const GAP = '  ';

/**
 * Rows in columns, two spaces before each. Where they would not fit into `width`, the first cell stands on a line of
 * its own and the others below it.
 */
export function table(rows: readonly (readonly string[])[], columns: readonly Column[], width: number): string[] {
  const lines = alignRows(rows, columns).map((line) => `${GAP}${line}`.trimEnd());
  if (lines.every((line) => textWidth(line) <= width)) return lines;
  const rest = alignRows(
    rows.map((row) => row.slice(1)),
    columns.slice(1),
  );
  return rows.flatMap((row, i) => [`${GAP}${row[0] ?? ''}`, `${GAP}${GAP}${rest[i] ?? ''}`.trimEnd()]);
}

function alignRows(rows: readonly (readonly string[])[], columns: readonly Column[]): string[] {
  const widths = columns.map((_, c) => Math.max(0, ...rows.map((row) => textWidth(row[c] ?? ''))));
  return rows.map((row) =>
    columns
      .map(({ align }, c) => {
        const cell = row[c] ?? '';
        const padding = ' '.repeat((widths[c] ?? 0) - textWidth(cell));
        return align === 'left' ? cell + padding : padding + cell;
      })
      .join(GAP),
  );
}

/** The first `limit` of a list, and a line that says how many more there are. */
export function shortened<T>(items: readonly T[], limit: number, line: (item: T) => string[]): string[] {
  const lines = items.slice(0, limit).flatMap(line);
  if (items.length > limit) lines.push(`${GAP}... and ${items.length - limit} more (--json has them all)`);
  return lines;
}
