/** What the documentation lists is what the program has: options, extensions, log fields, reasons, the demo's output. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withTables } from '../../scripts/readme.js';
import { bash, ROOT } from '../support/cli.js';
import { blocksOf } from './blocks.js';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** First cells of table rows that begin with code: `| `name` | ...`. */
function firstCells(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, cell = '']) => cell);
}

function section(text: string, heading: string): string {
  const [, after = ''] = text.split(`${heading}\n`);
  return after.split(/^#{1,3} /m)[0] ?? '';
}

describe('README', () => {
  it('lists the options and extensions there are (npx tsx scripts/readme.ts)', () => {
    expect(read('README.md')).toBe(withTables(read('README.md')));
  });

  it('lists the fields of the packet log', () => {
    const [, entry = ''] = /interface PacketLogEntry \{([\s\S]*?)\n\}/.exec(read('src/report/types.ts')) ?? [];
    const fields = [...entry.matchAll(/readonly (\w+)\??: /g)].map(([, name]) => name);
    // The nested fields of `out` are told in its row.
    const own = [...new Set(fields)].filter((name) => name !== 'iface' && name !== 'record');
    expect(firstCells(section(read('README.md'), '### The packet log'))).toEqual(own);
  });

  it('shows what the demo prints, and the demo succeeds', () => {
    const [shown] = blocksOf('README.md').filter(({ language }) => language === 'text');
    // The build that `npm run demo` begins with has been made for these tests.
    const { code, stdout } = bash('npx --no-install tsx scripts/demo.ts', { cwd: ROOT });
    const printed = new Set(stdout.split('\n').map((line) => line.trimEnd()));
    const varies = /packets replayed in|report\.json +report|^ {2}\.\.\.$/;
    const lines = (shown?.text ?? '').split('\n').filter((line) => !varies.test(line));
    expect(lines.filter((line) => !printed.has(line))).toEqual([]);
    expect(lines.length).toBeGreaterThan(50);
    expect(stdout).toContain('260 of 260 packets equal what the kernel sent, byte for byte from the IP header on');
    expect(code).toBe(0);
  });
});

describe('docs/replay.md', () => {
  it('lists the verdicts', () => {
    const [, union = ''] = /type Verdict = ([^;]+);/.exec(read('src/report/types.ts')) ?? [];
    const verdicts = [...union.matchAll(/'(\w+)'/g)].map(([, word]) => word);
    expect(firstCells(section(read('docs/replay.md'), '## Verdicts'))).toEqual(verdicts);
  });

  it('lists every reason that the source has a word for', () => {
    const listed = firstCells(section(read('docs/replay.md'), '## Reasons'));
    expect([...new Set(reasonsInSource())].sort()).toEqual([...listed].sort());
  });
});

/** Reason words where the source hands them out; the patterns are how it does. */
function reasonsInSource(): string[] {
  const files = ['src/netfilter', 'src/pipeline'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(join(folder, name))),
  );
  const text = files.join('\n');
  const words = [
    /\.(?:why|reason) = [^;]*?'([a-z][a-z0-9-]+)'/g,
    /this\.note\([^;]*?'([a-z][a-z0-9-]+)'/g,
    /\?\? '(bad-[a-z-]+)'/g,
    /note\([^;]*'([a-z-]+)'\)/g,
    /drop\(out, [^;]*'([a-z][a-z0-9-]+)'/g,
    /return [^;]*'(martian-[a-z]+|rp-filter)'/g,
    /return '(ipv6-[a-z]+)'/g,
    /\[BROKEN_\w+, '([a-z-]+)'\]/g,
    /=== 'untracked' \? '([a-z-]+)' :/g,
  ].flatMap((pattern) => [...text.matchAll(pattern)].map(([, word = '']) => word));
  // What a type names `...Fault` or `...Reason` lists.
  for (const [, union = ''] of text.matchAll(/type \w+(?:Fault|Reason) =([^;]+);/g))
    words.push(...[...union.matchAll(/'([a-z-]+)'/g)].map(([, word = '']) => word));
  // Route types that drop are their own reasons (netfilter/routing.ts, `take`); a held fragment's word is its verdict.
  return [...words.filter((word) => word !== 'held'), 'blackhole', 'unreachable', 'prohibit'];
}
