/** Every command in README, CONTRIBUTING and docs/ is run, and README's library examples are. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bash, ROOT } from '../support/cli.js';
import { blocksOf } from './blocks.js';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** What is not run here, by the block's first line, and why that is no loss. */
const NOT_RUN = new Map([
  ['npm ci && npm run demo', 'it installs; test/e2e/recorded.test.ts runs the demo'],
  ['npm ci && npm test', 'these tests are it'],
  ['npm ci', 'builds and tests once more; .ci/run does all of it'],
  [
    'natreplay verify captures/docker-bridge/any.pcap --host captures/docker-bridge/host.json',
    'it needs root; test/e2e/verify.test.ts runs it',
  ],
  ['natreplay snapshot -o host.json', 'it asks the live machine; test/cli/snapshot.test.ts runs it'],
]);

const shell = PAGES.flatMap(blocksOf).filter(({ language }) => language === 'sh');
const firstLine = (text: string): string => text.split('\n')[0] ?? '';

let folder = '';
/** A folder that looks like a clone to a command: captures/ is there, and what it writes goes away. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'natreplay-docs-'));
  symlinkSync(join(ROOT, 'captures'), join(folder, 'captures'));
  symlinkSync(join(ROOT, 'docs'), join(folder, 'docs'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('commands', () => {
  const run = shell.filter(({ text }) => !NOT_RUN.has(firstLine(text)));

  it.each(run)('$file:$line', ({ text }) => {
    const { code, stderr, stdout } = bash(`set -eu -o pipefail\n${text}`, { cwd: folder });
    expect(stderr.split('\n').filter((line) => /^natreplay: (?!warning: )/.test(line))).toEqual([]);
    expect(stdout).not.toBe('');
    expect(code).toBe(0);
  });

  it('those that are not run are still there', () => {
    const lines = shell.map(({ text }) => firstLine(text));
    expect([...NOT_RUN.keys()].filter((line) => !lines.includes(line))).toEqual([]);
  });
});

describe('library examples', () => {
  const examples = blocksOf('README.md').filter(({ language }) => language === 'js');

  it.skipIf(examples.length === 0)('run as they stand', () => {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(ROOT, join(folder, 'node_modules/natreplay'));
    for (const { line, text } of examples) {
      writeFileSync(join(folder, 'example.mjs'), text);
      const { code, stderr } = bash(`'${process.execPath}' --preserve-symlinks-main example.mjs`, { cwd: folder });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
  });
});

describe('links', () => {
  it.each(PAGES)('%s: every file it links to is there', (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target = '']) => target);
    const missing = targets.filter((target) => {
      try {
        readFileSync(join(ROOT, page, '..', target));
        return false;
      } catch {
        return true;
      }
    });
    expect(missing).toEqual([]);
  });
});
