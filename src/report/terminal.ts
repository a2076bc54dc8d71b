/**
 * The report on the terminal: what was read, what became of it and why, how fast, and which rule did what. Everything
 * that comes from outside (names, comments, messages) goes through `safe`.
 */
import {
  bytesIec,
  counted,
  durationNs,
  durationSeconds,
  grouped,
  ifconfigSize,
  percent,
  rate,
  utc,
} from './humanize.js';
import { type ListChains, ruleListing } from './listing.js';
import { type Colours, type Column, colours, safe, shortened, table, textWidth, wrap } from './page.js';
import type { LearntPorts, ReplayResult, RuleCounters, Verdict } from './types.js';

export interface TerminalOptions {
  readonly colour: boolean;
  /** Columns of the terminal. */
  readonly width: number;
  /** Prints chains as `iptables -L` does; by default the rules' own. */
  readonly listChains?: ListChains | undefined;
}

/** Sentences are easiest to read in lines not much longer than this; only tables use a wider terminal. */
const WIDEST_TEXT = 100;
const NARROWEST = 40;
const WIDEST_BAR = 50;
const MOST_ITEMS = 20;

const LEFT: Column = { align: 'left' };
const RIGHT: Column = { align: 'right' };

interface Paper {
  readonly c: Colours;
  readonly width: number;
  /** Of sentences. */
  readonly measure: number;
}

/** The whole page, newline at the end. */
export function terminalReport(result: ReplayResult, options: TerminalOptions): string {
  const width = Math.max(NARROWEST, options.width);
  const paper: Paper = { c: colours(options.colour), width, measure: Math.min(width, WIDEST_TEXT) };
  const sections = [
    headline(result, paper),
    section('Read', read(result, paper), paper),
    section('What became of the packets', verdicts(result, paper), paper),
    section('Why', reasons(result, paper), paper),
    section('Speed', speed(result, paper), paper),
    section('Connections', connections(result, paper), paper),
    section('Fragments', fragments(result, paper), paper),
    section('Ports the kernel drew', result.ports === undefined ? [] : learntPorts(result.ports, width), paper),
    section('Interfaces', interfaces(result), paper),
    ...result.rules.map((counters) => rules(counters, options.listChains, paper)),
    section('Skipped rules (never matched: --unsupported skip)', skipped(result, paper), paper),
    section('Read but not evaluated', notEvaluated(result), paper),
    section('Assumed', sentences(result.assumptions, paper), paper),
    section('Warnings', warnings(result, paper), paper),
    section('Written', written(result, paper), paper),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function section(title: string, lines: readonly string[], { c }: Paper): string[] {
  return lines.length === 0 ? [] : [c.bold(title), ...lines];
}

function headline(result: ReplayResult, { c }: Paper): string[] {
  const { records, elapsedSeconds } = result;
  return [c.bold(`${counted(records, 'packet')} replayed in ${durationSeconds(elapsedSeconds)}`)];
}

function read({ inputs, captureSeconds }: ReplayResult, { width }: Paper): string[] {
  const rows = inputs.map((input) => [
    safe(input.path),
    input.format,
    input.linkTypes.map(safe).join(', '),
    counted(input.records, 'record'),
    bytesIec(input.bytes),
  ]);
  const lines = table(rows, [LEFT, LEFT, LEFT, RIGHT, RIGHT], width);
  if (captureSeconds !== undefined) {
    const { first, last } = captureSeconds;
    lines.push(`  captured from ${utc(first)}, over ${durationSeconds(Math.max(0, last - first))}`);
  }
  return lines;
}

interface VerdictLine {
  readonly verdict: Verdict;
  readonly words: string;
  readonly colour: 'green' | 'cyan' | 'red' | 'yellow' | 'gray';
  /** Left out when nothing had it. */
  readonly rare: boolean;
}

const VERDICTS: readonly VerdictLine[] = [
  { verdict: 'forward', words: 'forwarded', colour: 'green', rare: false },
  { verdict: 'local', words: 'delivered to the host', colour: 'cyan', rare: false },
  { verdict: 'drop', words: 'dropped', colour: 'red', rare: false },
  { verdict: 'held', words: 'held (fragments)', colour: 'yellow', rare: true },
  { verdict: 'outgoing', words: 'outgoing (not replayed)', colour: 'gray', rare: true },
  { verdict: 'ignored', words: 'ignored (not IP)', colour: 'gray', rare: true },
];

function verdicts({ verdicts: counts, records }: ReplayResult, { c, width }: Paper): string[] {
  const shown = VERDICTS.filter(({ verdict, rare }) => !rare || counts[verdict] > 0);
  const cells = shown.map(({ verdict, words }) => [words, grouped(counts[verdict]), percent(counts[verdict], records)]);
  const rows = table(cells, [LEFT, RIGHT, RIGHT], Number.POSITIVE_INFINITY);
  const room = Math.min(WIDEST_BAR, width - Math.max(...rows.map(textWidth)) - 2);
  const lines = rows.map((row, i) => {
    const { verdict, colour } = shown[i] ?? { verdict: 'drop', colour: 'red' };
    return `${row}  ${c[colour](barOf(counts[verdict], records, room))}`.trimEnd();
  });
  const passed = counts.forward + counts.local;
  const share = passed === 0 ? '' : `, ${percent(counts.translated, passed)} of those forwarded or delivered`;
  return [...lines, `  translated: ${c.bold(grouped(counts.translated))}${share}`];
}

/** At least one block for anything above nothing. */
function barOf(part: number, whole: number, width: number): string {
  if (part <= 0 || whole <= 0 || width <= 0) return '';
  return '█'.repeat(Math.max(1, Math.round((part / whole) * width)));
}

function reasons({ reasons: list, records }: ReplayResult, { width }: Paper): string[] {
  const rows = list.map(([reason, packets]) => [grouped(packets), percent(packets, records), safe(reason)]);
  return shortened(table(rows, [RIGHT, RIGHT, LEFT], width), MOST_ITEMS, (line) => [line]);
}

function speed({ records, inputs, elapsedSeconds, serviceTime }: ReplayResult, { c, measure }: Paper): string[] {
  const bytes = inputs.reduce((sum, input) => sum + input.bytes, 0);
  const throughput = records > 0 && elapsedSeconds > 0;
  const lines = throughput
    ? [
        `  ${c.bold(`${grouped(records / elapsedSeconds)} packets/s`)}, ${rate(bytes / elapsedSeconds, 'B/s')}, ` +
          `${durationNs((elapsedSeconds * 1e9) / records)} per packet, from file to file`,
      ]
    : [];
  if (serviceTime === undefined) return lines;
  const { p50, p99, p999, max, mean, method } = serviceTime;
  const figures = Object.entries({ p50, p99, 'p99.9': p999, max, mean });
  const texts = figures.map(([name, nanoseconds]) => `${name} ${durationNs(nanoseconds)}`);
  lines.push(...wrap(`service time: ${texts.join(', ')}`, measure, '  '));
  lines.push(...wrap(safe(method), measure, '  ').map(c.dim));
  return lines;
}

function connections({ connections: counts }: ReplayResult, { width }: Paper): string[] {
  const { created, expired, live, peak } = counts;
  const parts = [
    `${grouped(created)} created`,
    `${grouped(expired)} expired`,
    `${grouped(live)} live at the end`,
    `${grouped(peak)} at the peak`,
  ];
  return wrap(parts.join(', '), width, '  ');
}

function fragments({ fragments: totals }: ReplayResult, { width }: Paper): string[] {
  if (totals === undefined) return [];
  const { held, dropped, reassembled, expired, waitingDatagrams, waitingFragments } = totals;
  const parts = [
    `${counted(reassembled, 'datagram')} put together`,
    `${counted(held, 'fragment')} waited`,
    ...(dropped > 0 ? [`${grouped(dropped)} dropped`] : []),
    ...(expired > 0 ? [`${counted(expired, 'datagram')} given up after their time`] : []),
    ...(waitingDatagrams > 0
      ? [`${counted(waitingDatagrams, 'datagram')} (${counted(waitingFragments, 'fragment')}) not complete at the end`]
      : []),
  ];
  return wrap(parts.join(', '), width, '  ');
}

/** A line for each way it went; the same for `verify --recorded`. */
export function learntPorts({ learnt, unknown, refused, unforeseen }: LearntPorts, width: number): string[] {
  const rows: [number, string][] = [
    [learnt, 'learnt from the first packet that left'],
    [unknown, 'not seen leaving, drawn anew'],
    [refused, 'seen, but not possible with these rules, drawn anew'],
    [unforeseen, 'other than expected: these rules would have kept the port'],
  ];
  const shown = rows.filter(([count]) => count > 0).map(([count, text]) => [grouped(count), text]);
  return shown.length === 0 ? ['  none'] : table(shown, [RIGHT, LEFT], width);
}

/** In ifconfig's words (net-tools 2.10). */
function interfaces({ interfaces: list }: ReplayResult): string[] {
  return list.flatMap(({ name, rxPackets, rxBytes, txPackets, txBytes }) => [
    `${safe(name)}:`,
    `        RX packets ${rxPackets}  bytes ${rxBytes} (${ifconfigSize(rxBytes)})`,
    `        TX packets ${txPackets}  bytes ${txBytes} (${ifconfigSize(txBytes)})`,
  ]);
}

function rules(counters: RuleCounters, list: ListChains | undefined, { c }: Paper): string[] {
  const { ruleset } = counters;
  if (!ruleset.tables.has('nat')) return [];
  const command = ruleset.family === 4 ? 'iptables' : 'ip6tables';
  return [
    `${c.bold('Rules')} of ${safe(ruleset.file)}, as ${command} -t nat -L -v -n lists them`,
    '',
    ...ruleListing(counters, 'nat', c, list),
  ];
}

function skipped({ rules: list }: ReplayResult, { width, measure }: Paper): string[] {
  const all = list.flatMap(({ ruleset }) => ruleset.skipped.map((rule) => ({ file: ruleset.file, ...rule })));
  return shortened(all, MOST_ITEMS, ({ file, rule, missing }) => [
    ...wrap(`${safe(file)}:${rule.line}: no support for ${safe(missing)}`, measure, '  '),
    ...wrap(safe(rule.text), width, '      '),
  ]);
}

function notEvaluated({ rules: list }: ReplayResult): string[] {
  return list.flatMap(({ ruleset, notEvaluated: tables = [] }) =>
    tables.map((name) => {
      const chains = [...(ruleset.tables.get(name)?.chains.values() ?? [])];
      const count = chains.reduce((sum, chain) => sum + chain.rules.length, 0);
      return `  table ${name} of ${safe(ruleset.file)}, ${counted(count, 'rule')}`;
    }),
  );
}

function sentences(list: readonly string[], { measure }: Paper): string[] {
  return shortened(list, MOST_ITEMS, (text) => wrap(safe(text), measure, '  - '));
}

function warnings(result: ReplayResult, paper: Paper): string[] {
  const ofInputs = result.inputs.flatMap(({ warnings: list }) =>
    list.map(({ file, message, offset }) => {
      const said = offset === undefined || message.includes(`byte ${offset}`);
      return `${file}: ${message}${said ? '' : ` (byte ${offset})`}`;
    }),
  );
  return sentences([...ofInputs, ...result.warnings], paper).map(paper.c.yellow);
}

function written({ outputs, texts = [] }: ReplayResult, { width }: Paper): string[] {
  const rows = [
    ...outputs.map(({ path, iface, records, bytes }) => [
      safe(path),
      `${counted(records, 'record')}${iface === undefined ? '' : ` of ${safe(iface)}`}`,
      bytesIec(bytes),
    ]),
    ...texts.map(({ path, what, bytes }) => [safe(path), safe(what), bytesIec(bytes)]),
  ];
  return table(rows, [LEFT, LEFT, RIGHT], width);
}
