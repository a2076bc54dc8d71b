import { describe, expect, it } from 'vitest';
import { significantLines, splitWords } from '../../src/rules/lexer.js';

function words(text: string): string[] {
  return splitWords({ number: 1, text }, 'rules').map((word) => word.text);
}

describe('words', () => {
  it.each([
    ['-A INPUT\t-j  ACCEPT ', ['-A', 'INPUT', '-j', 'ACCEPT']],
    ['--comment "two words"', ['--comment', 'two words']],
    ['--comment ""', ['--comment', '']],
    ['--comment "a \\"q\\" \\\\ it\\\'s"', ['--comment', 'a "q" \\ it\'s']],
    ['a\\b', ['a\\b']],
    ['a"b c"d', ['ab c', 'd']],
  ])('%s', (text, expected) => {
    expect(words(text)).toEqual(expected);
  });

  it('know their columns', () => {
    const found = splitWords({ number: 1, text: '  -A  "x y" z' }, 'rules');
    expect(found.map(({ column, quoted }) => [column, quoted])).toEqual([
      [3, false],
      [7, true],
      [13, false],
    ]);
  });
});

describe('lines', () => {
  it('are counted with the blank ones and the comments', () => {
    const lines = [...significantLines('# x\n\r\n*nat\r\n\nCOMMIT', 'rules')];
    expect(lines).toEqual([
      { number: 3, text: '*nat' },
      { number: 5, text: 'COMMIT' },
    ]);
  });
});
