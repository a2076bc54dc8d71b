import { PassThrough } from 'node:stream';
import { describe, expect, it, test } from 'vitest';
import { createProgress, type ProgressState, progressLine } from '../../src/report/progress.js';

describe('the progress line', () => {
  const half: ProgressState = { bytes: 500, packets: 12_300_000, totalBytes: 1000, seconds: 10 };

  test.each<[string, ProgressState, number, string]>([
    ['half way', half, 79, `${'█'.repeat(18)}${'░'.repeat(18)}  50 %  12.3 M packets  1.23 Mpps  ETA 10 s`],
    ['on a narrow terminal: no bar', half, 45, '50 %  12.3 M packets  1.23 Mpps  ETA 10 s'],
    ['on a very narrow one: cut', half, 20, '50 %  12.3 M packets'],
    [
      'at the start',
      { ...half, bytes: 0, packets: 0, seconds: 0 },
      45,
      '░░░░░░░░░░░░░░░░░░░░░░  0 %  0 packets  ETA -',
    ],
    ['done', { ...half, bytes: 1000 }, 50, '100 %  12.3 M packets  1.23 Mpps  ETA 0 s'],
    [
      'more than was expected (the file grew)',
      { ...half, bytes: 2000 },
      50,
      '100 %  12.3 M packets  1.23 Mpps  ETA 0 s',
    ],
    [
      'total not known',
      { ...half, totalBytes: undefined, bytes: 3 * 2 ** 20 },
      79,
      '3 MiB  12.3 M packets  1.23 Mpps  10 s',
    ],
    ['total 0', { ...half, totalBytes: 0, bytes: 0, packets: 0 }, 79, '0 B  0 packets  0.00 Mpps  10 s'],
    ['almost done', { ...half, bytes: 999 }, 45, '99 %  12.3 M packets  1.23 Mpps  ETA 1 s'],
  ])('%s', (_, state, width, line) => expect(progressLine(state, width)).toBe(line));
});

/** A stream as node:tty has them: the bar asks for its columns. */
function stream(isTTY: boolean): { stream: NodeJS.WriteStream; written: () => string } {
  let text = '';
  const made = Object.assign(new PassThrough(), { isTTY, columns: 80 });
  made.on('data', (chunk) => {
    text += chunk;
  });
  return { stream: made as unknown as NodeJS.WriteStream, written: () => text };
}

describe('progress', () => {
  it('is drawn on a terminal and taken away at the end', () => {
    const { stream: terminal, written } = stream(true);
    let milliseconds = 0;
    const progress = createProgress({ stream: terminal, totalBytes: 1000, now: () => milliseconds });
    milliseconds = 10_000;
    progress.update(500, 5_000_000);
    progress.stop();
    progress.stop();
    expect(written()).toContain('50 %  5 M packets  0.50 Mpps  ETA 10 s');
    expect(written().lastIndexOf('\u001b[2K')).toBeGreaterThan(written().lastIndexOf('ETA')); // the line is cleared
    expect(written()).not.toContain('\n');
  });

  test.each([
    ['in a pipe', false, undefined],
    ['when told not to', true, false],
    ['in a pipe even when asked for', false, true],
  ])('is silent %s', (_, isTTY, enabled) => {
    const { stream: quiet, written } = stream(isTTY);
    const progress = createProgress({ stream: quiet, enabled, totalBytes: 1000 });
    progress.update(500, 1);
    progress.stop();
    expect(written()).toBe('');
  });
});
