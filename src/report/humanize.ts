/** Numbers as people read them: grouped digits, sizes in powers of 1000 or 1024, rates, durations, shares. */

/** `1234567` -> `1,234,567`; a fraction is rounded away. Not locale-dependent: reports compare equal everywhere. */
export function grouped(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const rounded = Math.round(value);
  if (Math.abs(rounded) >= 1e21) return String(rounded);
  return String(rounded).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 packet`, `2,000 packets`. */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${grouped(value)} ${value === 1 ? noun : plural}`;
}

const SI_PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'] as const;
const IEC_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** `1234567` -> `1.23 M`: three digits and an SI prefix (powers of 1000); no prefix below 1000. */
export function si(value: number): string {
  const { digits, power } = scaled(value, 1000, SI_PREFIXES.length - 1);
  return power === 0 ? digits : `${digits} ${SI_PREFIXES[power] ?? ''}`;
}

/** Sizes of files and memory, powers of 1024: `3456` -> `3.38 KiB`, `900` -> `900 B`. */
export function bytesIec(bytes: number): string {
  const { digits, power } = scaled(bytes, 1024, IEC_UNITS.length - 1);
  return `${digits} ${IEC_UNITS[power] ?? ''}`;
}

/** Rates, powers of 1000 as networks count: `rate(1234567, 'B/s')` -> `1.23 MB/s`; a rate that is not known is `-`. */
export function rate(perSecond: number, unit: string): string {
  if (!Number.isFinite(perSecond)) return '-';
  const { digits, power } = scaled(perSecond, 1000, SI_PREFIXES.length - 1);
  return `${digits} ${SI_PREFIXES[power] ?? ''}${unit}`;
}

/** A length of time from nanoseconds: `85 ns`, `1.25 µs`, `3.4 ms`, `12.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function durationNs(nanoseconds: number): string {
  if (!Number.isFinite(nanoseconds)) return '-';
  if (nanoseconds < 0) return `-${durationNs(-nanoseconds)}`;
  if (Math.round(nanoseconds / 1e9) >= 60) return longDuration(Math.round(nanoseconds / 1e9));
  const { digits, power } = scaled(nanoseconds, 1000, 3);
  return `${digits} ${['ns', 'µs', 'ms', 's'][power] ?? 's'}`;
}

export function durationSeconds(seconds: number): string {
  return durationNs(seconds * 1e9);
}

function longDuration(seconds: number): string {
  const steps = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const;
  const first = steps.findIndex(([, size]) => seconds >= size);
  let rest = seconds;
  const parts: string[] = [];
  for (const [unit, size] of steps.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${grouped(count)} ${unit}`);
  }
  return parts.join(' ');
}

/**
 * A share in percent, never rounded to a lie: only nothing is `0 %` and only everything is `100 %`, what lies
 * next to them is `< 0.1 %` and `> 99.9 %`.
 */
export function percent(part: number, whole: number): string {
  if (!(whole > 0)) return '-';
  const share = (part / whole) * 100;
  if (part === 0) return '0 %';
  if (part === whole) return '100 %';
  if (share < 0.1) return '< 0.1 %';
  if (share > 99.9 && share < 100) return '> 99.9 %';
  return `${share.toFixed(1)} %`;
}

/**
 * The size in brackets after ifconfig's byte counts, `3456` -> `3.3 KiB` (net-tools 2.10, ife_print_long): one digit,
 * cut and not rounded, and a unit only once it is exceeded (`1024` is `1024.0 B`).
 */
export function ifconfigSize(bytes: number): string {
  let power = 0;
  while (power < 5 && bytes > 1024 ** (power + 1)) power++;
  const tenths = Math.floor((bytes * 10) / 1024 ** power);
  return `${Math.floor(tenths / 10)}.${tenths % 10} ${IEC_UNITS[power] ?? ''}`;
}

/** UTC, to the second: `2024-05-01 10:00:00 UTC`; capture times may lie outside what a Date holds. */
export function utc(seconds: number): string {
  const date = new Date(Math.floor(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `${grouped(seconds)} s since 1970`;
  return `${date.toISOString().replace('T', ' ').slice(0, -5)} UTC`;
}

/** Three significant digits, and whole numbers as they are below the base. */
function scaled(value: number, base: number, maxPower: number): { digits: string; power: number } {
  if (!Number.isFinite(value)) return { digits: '-', power: 0 };
  let power = 0;
  let rest = Math.abs(value);
  // 999.7 would print as `1000`: it belongs to the next unit already.
  while (power < maxPower && rest >= base - 0.5) {
    rest /= base;
    power++;
  }
  const sign = value < 0 ? '-' : '';
  return { digits: sign + threeDigits(rest), power };
}

function threeDigits(value: number): string {
  if (Number.isInteger(value)) return String(value);
  if (value >= 99.95) return value.toFixed(0);
  if (value >= 9.995) return value.toFixed(1).replace(/\.0$/, '');
  return value.toFixed(2).replace(/\.?0+$/, '');
}
