/** The output that docs/explain.md shows is what its commands print. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bash, ROOT } from '../support/cli.js';
import { blocksOf } from './blocks.js';

const folder = mkdtempSync(join(tmpdir(), 'natreplay-docs-'));
symlinkSync(join(ROOT, 'captures'), join(folder, 'captures'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('docs/explain.md', () => {
  const blocks = blocksOf('docs/explain.md');
  const shown = blocks.flatMap((block, k) => {
    const command = blocks.slice(0, k).findLast(({ language }) => language === 'sh');
    return block.language === 'text' && command !== undefined ? [{ line: block.line, block, command }] : [];
  });

  it.each(shown)('shows at line $line what is printed', ({ block, command }) => {
    const { stdout } = bash(`set -eu\n${command.text}`, { cwd: folder });
    expect(stdout).toContain(block.text.trimEnd());
  });

  it('shows something', () => {
    expect(shown.length).toBeGreaterThan(3);
  });
});
