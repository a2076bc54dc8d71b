/** The progress line of long work: on a terminal only, on its own stream (stderr), gone when the work is done. */
import cliProgress from 'cli-progress';
import { bytesIec, durationSeconds, percent, si } from './humanize.js';

export interface ProgressOptions {
  readonly stream: NodeJS.WriteStream;
  /** False: nothing is ever written. Default: whether the stream is a terminal; a pipe never gets any. */
  readonly enabled?: boolean | undefined;
  /** Bytes to be read in all; undefined when that is not known (standard input). */
  readonly totalBytes?: number | undefined;
  /** Milliseconds that only go forward. */
  readonly now?: (() => number) | undefined;
}

export interface Progress {
  /** Bytes and packets done so far, in all. Cheap: the line is drawn ten times a second at the most. */
  update(bytes: number, packets: number): void;
  /** Takes the line away. May be called more than once. */
  stop(): void;
}

const SILENT: Progress = { update: () => {}, stop: () => {} };

const DRAWN_PER_SECOND = 10;
const WIDEST_BAR = 40;
const NARROWEST_BAR = 8;

export function createProgress(options: ProgressOptions): Progress {
  const { stream, totalBytes } = options;
  if (options.enabled === false || !stream.isTTY) return SILENT;
  const now = options.now ?? (() => performance.now());
  const start = now();
  let state = { bytes: 0, packets: 0 };
  const bar = new cliProgress.SingleBar({
    stream,
    fps: DRAWN_PER_SECOND,
    clearOnComplete: true,
    hideCursor: false,
    linewrap: true,
    stopOnComplete: false,
    // The library's own figures know one count; this line shows two.
    format: () => progressLine({ ...state, totalBytes, seconds: (now() - start) / 1000 }, (stream.columns ?? 80) - 1),
  });
  bar.start(totalBytes ?? 0, 0);
  return {
    update(bytes, packets) {
      state = { bytes, packets };
      bar.update(bytes);
    },
    stop: () => bar.stop(),
  };
}

export interface ProgressState {
  readonly bytes: number;
  readonly packets: number;
  readonly totalBytes: number | undefined;
  readonly seconds: number;
}

/**
 * The line, at most `width` characters:
 *
 *     ████████████░░░░░░░░░░░░  50 %  12.3 M packets  1.23 Mpps  ETA 10 s
 *
 * and, where the total is not known, `1.2 GiB  12.3 M packets  1.23 Mpps  10 s`.
 */
export function progressLine(state: ProgressState, width: number): string {
  const { bytes, packets, totalBytes, seconds } = state;
  const figures = [`${si(packets)} packets`];
  if (seconds > 0) figures.push(`${(packets / seconds / 1e6).toFixed(2)} Mpps`);
  if (totalBytes === undefined || totalBytes <= 0) {
    return cut([bytesIec(bytes), ...figures, wholeSeconds(Math.floor(seconds))].join('  '), width);
  }
  const share = Math.min(1, bytes / totalBytes);
  const left = bytes > 0 ? Math.ceil((seconds * (1 - share)) / share) : undefined;
  const text = [percentText(share), ...figures, `ETA ${left === undefined ? '-' : wholeSeconds(left)}`].join('  ');
  const room = Math.min(WIDEST_BAR, width - text.length - 2);
  if (room < NARROWEST_BAR) return cut(text, width);
  const done = Math.floor(share * room);
  return `${'█'.repeat(done)}${'░'.repeat(room - done)}  ${text}`;
}

function wholeSeconds(seconds: number): string {
  return seconds === 0 ? '0 s' : durationSeconds(seconds);
}

function percentText(share: number): string {
  return share === 0 || share === 1 ? percent(share, 1) : `${Math.floor(share * 100)} %`;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : text.slice(0, Math.max(0, width));
}
