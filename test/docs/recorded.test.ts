/** The output that docs/recorded.md shows is what its commands print. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { recordedJsonSchema } from '../../src/verify/recorded/json.js';
import { bash, ROOT } from '../support/cli.js';
import { blocksOf } from './blocks.js';

const folder = mkdtempSync(join(tmpdir(), 'natreplay-docs-'));
symlinkSync(join(ROOT, 'captures'), join(folder, 'captures'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('docs/recorded.md', () => {
  const blocks = blocksOf('docs/recorded.md');
  const shown = blocks.flatMap((block, k) => {
    const command = blocks.slice(0, k).findLast(({ language }) => language === 'sh');
    return block.language === 'text' && command !== undefined ? [{ line: block.line, block, command }] : [];
  });

  it.each(shown)('shows at line $line what is printed', ({ block, command }) => {
    const { stdout } = bash(`set -eu\n${command.text}`, { cwd: folder });
    expect(stdout).toContain(block.text.trimEnd());
  });

  it('has its schema beside it (npx tsx scripts/schema.ts)', () => {
    expect(JSON.parse(readFileSync(join(ROOT, 'docs/recorded.schema.json'), 'utf8'))).toEqual(recordedJsonSchema());
  });
});
