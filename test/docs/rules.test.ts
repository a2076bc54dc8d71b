/** The commands of docs/rules.md print what stands below them. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bash, ROOT } from '../support/cli.js';
import { blocksOf } from './blocks.js';

const blocks = blocksOf('docs/rules.md');
const shown = blocks.flatMap((block, i) => {
  const output = blocks[i + 1];
  return block.language === 'sh' && output?.language === ''
    ? [{ line: block.line, command: block.text, output: output.text }]
    : [];
});

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'natreplay-docs-'));
  symlinkSync(join(ROOT, 'captures'), join(folder, 'captures'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('docs/rules.md', () => {
  it.each(shown)('line $line', ({ command, output }) => {
    // Warnings come before what is printed.
    const { stdout, stderr } = bash(command, { cwd: folder });
    expect(stderr + stdout).toBe(output);
  });
});
