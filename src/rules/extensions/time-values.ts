/** Dates, times and days of `-m time`, in UTC: the kernel keeps seconds, and bits for days. */
import type { ParseContext, Token } from '../extension.js';

export const DAY_SECONDS = 86400;
const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** Bits 1 to 7, Monday first. */
export const ALL_WEEKDAYS = 0xfe;
/** Bits 1 to 31. */
export const ALL_MONTHDAYS = 0xfffffffe;

/** `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]` -> seconds since 1970. Days that a month lacks run on into the next one. */
export function parseDate(token: Token, context: ParseContext): number {
  const match = /^(\d{4})(?:-(\d{0,2})(?:-(\d{0,2})(?:T(\d{0,2})(?::(\d{0,2})(?::(\d{0,2}))?)?)?)?)?$/.exec(token.text);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = (match ?? [])
    .slice(1)
    .map((part) => (part === undefined ? undefined : Number(part)));
  const good = year >= 1970 && year <= 2038 && month <= 12 && day <= 31 && hour <= 23 && minute <= 59 && second <= 59;
  if (match !== null && good) return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
  return context.fail(
    'RULES_BAD_DATE',
    `"${token.text}" is not a date from 1970 to 2038`,
    token,
    'write it like 2024-05-06T07:08:09',
  );
}

/** `2024-05-06T07:08:09`; listings put `separator` between day and time. */
export function formatDate(seconds: number, separator = 'T'): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', separator);
}

/** `hh:mm[:ss]` -> seconds of the day. */
export function parseTime(token: Token, context: ParseContext): number {
  const match = /^0*(\d{1,2}):0*(\d{1,2})(?::0*(\d{1,2}))?$/.exec(token.text);
  const [hour, minute, second] = [Number(match?.[1]), Number(match?.[2]), Number(match?.[3] ?? '0')];
  if (match !== null && hour < 24 && minute < 60 && second < 60) return hour * 3600 + minute * 60 + second;
  return context.fail(
    'RULES_BAD_TIME',
    `"${token.text}" is not a time of day`,
    token,
    'write it like 07:30 or 07:30:15',
  );
}

export function formatTime(seconds: number): string {
  return formatDate(seconds).slice(11);
}

/** `Mon,Tue` or `1,2` -> bits. Two letters of a name are enough. */
export function parseWeekdays(token: Token, context: ParseContext): number {
  let bits = 0;
  for (const word of token.text.split(',').filter((part) => part !== '')) {
    const number = /^[0-9]+$/.test(word)
      ? Number(word)
      : DAYS.findIndex((day) => day.slice(0, 2) === word.slice(0, 2)) + 1;
    if (number === 0 || word.length < 1)
      context.fail(
        'RULES_BAD_DAY',
        `"${word}" is not a day of the week`,
        token,
        'write Mon, Tue, ... or 1 (Monday) to 7',
      );
    // 8 and more fall out of the kernel's byte.
    if (number < 8) bits |= 1 << number;
  }
  return bits;
}

/** `1,15` -> bits. iptables takes two characters at a time. */
export function parseMonthdays(token: Token, context: ParseContext): number {
  let bits = 0;
  for (const word of token.text.match(/[^,]{1,2}/g) ?? []) {
    const number = /^[0-9]+$/.test(word) ? Number(word) : 32;
    if (number > 31)
      context.fail('RULES_BAD_DAY', `"${word}" is not a day of the month`, token, 'write numbers from 1 to 31');
    bits = (bits | (1 << number)) >>> 0;
  }
  return bits;
}

const bitsOf = (bits: number): number[] =>
  Array.from({ length: 32 }, (_, k) => k).filter((k) => k > 0 && ((bits >>> k) & 1) === 1);

export function formatWeekdays(bits: number): string {
  return bitsOf(bits)
    .map((k) => DAYS[k - 1])
    .join(',');
}

export function formatMonthdays(bits: number): string {
  return bitsOf(bits).join(',');
}

/** `1st,2nd`, and `11st`, as iptables has it. */
export function listMonthdays(bits: number): string {
  const ending = (k: number): string => ['th', 'st', 'nd', 'rd'][k % 10] ?? 'th';
  return bitsOf(bits)
    .map((k) => `${k}${ending(k)}`)
    .join(',');
}
