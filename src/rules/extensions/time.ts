/**
 * `-m time`: dates, times of the day, days of week and month, of capture time (kernel: net/netfilter/xt_time.c). The
 * kernel's own time zone (`--kerneltz`) is taken to be UTC, as it is on all machines but those whose clock chip runs on
 * local time.
 */
import type { MatchExtension, ParsedOption } from '../extension.js';
import { argument, exclusive, find, flag, has, option } from './support.js';
import {
  ALL_MONTHDAYS,
  ALL_WEEKDAYS,
  DAY_SECONDS,
  formatDate,
  formatMonthdays,
  formatTime,
  formatWeekdays,
  listMonthdays,
  parseDate,
  parseMonthdays,
  parseTime,
  parseWeekdays,
} from './time-values.js';

export interface TimeOptions {
  /** Seconds since 1970. */
  readonly dateStart: number;
  readonly dateStop: number;
  /** Seconds of the day, both included. */
  readonly start: number;
  readonly stop: number;
  readonly weekdays: number;
  readonly monthdays: number;
  readonly kernelZone: boolean;
  readonly contiguous: boolean;
}

const FOREVER = 0x7fffffff;
const DAY_END = DAY_SECONDS - 1;

/** `weekdays` of a day counted from 1970-01-01, a Thursday. */
const weekdayOf = (day: number): number => (4 + day) % 7 || 7;

export const time: MatchExtension<TimeOptions> = {
  kind: 'match',
  name: 'time',
  summary: 'dates, times and days, by the time of the capture',
  families: [4, 6],
  options: [
    option(false, '--datestart'),
    option(false, '--datestop'),
    option(false, '--timestart'),
    option(false, '--timestop'),
    option(true, '--weekdays'),
    option(true, '--monthdays'),
    flag(false, '--localtz'),
    flag(false, '--utc'),
    flag(false, '--kerneltz'),
    flag(false, '--contiguous'),
  ],
  parse(options, context) {
    exclusive(options, context, '--utc', '--kerneltz');
    exclusive(options, context, '--utc', '--localtz');
    const read = (name: string, missing: number, parse: (found: ParsedOption) => number): number => {
      const found = find(options, name);
      return found === undefined ? missing : parse(found);
    };
    const date = (found: ParsedOption): number => parseDate(argument(found), context);
    const clock = (found: ParsedOption): number => parseTime(argument(found), context);
    const parsed: TimeOptions = {
      dateStart: read('--datestart', 0, date),
      dateStop: read('--datestop', FOREVER, date),
      start: read('--timestart', 0, clock),
      stop: read('--timestop', DAY_END, clock),
      weekdays: read('--weekdays', ALL_WEEKDAYS, (found) => {
        const bits = parseWeekdays(argument(found), context);
        return found.negated ? bits ^ ALL_WEEKDAYS : bits;
      }),
      monthdays: read('--monthdays', ALL_MONTHDAYS, (found) => {
        const bits = parseMonthdays(argument(found), context);
        return found.negated ? (bits ^ ALL_MONTHDAYS) >>> 0 : bits;
      }),
      kernelZone: has(options, '--kerneltz') || has(options, '--localtz'),
      contiguous: has(options, '--contiguous'),
    };
    if (parsed.contiguous && parsed.start < parsed.stop) {
      const what = '--contiguous needs a --timestop earlier in the day than --timestart';
      context.fail('RULES_OPTIONS_EXCLUDE', what, find(options, '--contiguous')?.token, 'leave it out');
    }
    return parsed;
  },
  print({ dateStart, dateStop, start, stop, weekdays, monthdays, kernelZone, contiguous }) {
    let text = '';
    if (start !== 0 || stop !== DAY_END) text += ` --timestart ${formatTime(start)} --timestop ${formatTime(stop)}`;
    if (monthdays !== ALL_MONTHDAYS) text += ` --monthdays ${formatMonthdays(monthdays)}`;
    if (weekdays !== ALL_WEEKDAYS) text += ` --weekdays ${formatWeekdays(weekdays)}`;
    if (dateStart !== 0) text += ` --datestart ${formatDate(dateStart)}`;
    if (dateStop !== 0) text += ` --datestop ${formatDate(dateStop)}`;
    if (kernelZone) text += ' --kerneltz';
    return contiguous ? `${text} --contiguous` : text;
  },
  list({ dateStart, dateStop, start, stop, weekdays, monthdays, kernelZone, contiguous }) {
    let text = 'TIME';
    if (start !== 0 || stop !== DAY_END) text += ` from ${formatTime(start)} to ${formatTime(stop)}`;
    if (weekdays !== ALL_WEEKDAYS) text += ` on ${formatWeekdays(weekdays)}`;
    if (monthdays !== ALL_MONTHDAYS) text += ` on ${listMonthdays(monthdays)}`;
    if (dateStart !== 0) text += ` starting from ${formatDate(dateStart, ' ')}`;
    if (dateStop !== FOREVER) text += ` until date${dateStop === 0 ? '' : ` ${formatDate(dateStop, ' ')}`}`;
    if (!kernelZone) text += ' UTC';
    return contiguous ? `${text} contiguous` : text;
  },
  compile({ dateStart, dateStop, start, stop, weekdays, monthdays, contiguous }) {
    return ({ seconds }) => {
      if (seconds < dateStart || seconds > dateStop) return false;
      const clock = seconds % DAY_SECONDS;
      let day = Math.floor(seconds / DAY_SECONDS);
      if (start < stop) {
        if (clock < start || clock > stop) return false;
      } else {
        if (clock < start && clock > stop) return false;
        // Behind midnight it is still the evening before.
        if (contiguous && clock <= stop) day--;
      }
      if ((weekdays & (1 << weekdayOf(day))) === 0) return false;
      if (monthdays === ALL_MONTHDAYS) return true;
      return ((monthdays >>> new Date(day * DAY_SECONDS * 1000).getUTCDate()) & 1) === 1;
    };
  },
};
