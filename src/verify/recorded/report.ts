/** The comparison as people read it. Everything from outside goes through `safe`. */
import { counted, durationSeconds, grouped } from '../../report/humanize.js';
import { type Colours, type Column, safe, shortened, table, wrap } from '../../report/page.js';
import type { Finding, FindingKind, RecordedReport, RecordPlace, SetAside } from './types.js';

export interface RecordedTextOptions {
  readonly colours: Colours;
  readonly width: number;
}

const LEFT: Column = { align: 'left' };
const RIGHT: Column = { align: 'right' };
const MOST_SHOWN = 10;

/** True when nothing disagrees: exit code 0. */
export const allAgree = ({ differing, missing, unexplained }: RecordedReport): boolean =>
  differing + missing + unexplained === 0;

/** The whole page, newline at the end. */
export function recordedText(report: RecordedReport, { colours: c, width }: RecordedTextOptions): string {
  const sections: (readonly [string, readonly string[]])[] = [
    [headline(report), [...totals(report, c, width), '', ...verdictLine(report, c, width)]],
    ['Ports the kernel drew', ports(report, width)],
    ...KINDS.map(([kind, title]): [string, string[]] => [title, findings(report, kind, width)]),
    ['Not counted as disagreement', setAside(report.setAside, width)],
    ['Assumed', report.assumptions.flatMap((each) => wrap(safe(each), width, '  '))],
    ['Warnings', report.warnings.flatMap((each) => wrap(safe(each), width, '  '))],
  ];
  const shown = sections.filter(([, lines]) => lines.length > 0);
  return `${shown.map(([title, lines]) => [c.bold(title), ...lines].join('\n')).join('\n\n')}\n`;
}

function headline({ records, elapsedSeconds }: RecordedReport): string {
  return `${counted(records, 'record')} held against themselves in ${durationSeconds(elapsedSeconds)}`;
}

function totals(report: RecordedReport, c: Colours, width: number): string[] {
  const { incoming, outgoing, predicted, agreed, differing, missing, unexplained } = report;
  const bad = (count: number, text: string): string => (count === 0 ? text : c.red(text));
  const lines = table(
    [
      ['came in', grouped(incoming), `${grouped(predicted)} of them predicted to leave`],
      ['went out', grouped(outgoing), ''],
      ['agreed', grouped(agreed), 'same interface, same bytes from the IP header on'],
      ['differing', grouped(differing), 'sent, but otherwise than predicted'],
      ['missing', grouped(missing), 'predicted, not seen'],
      ['unexplained', grouped(unexplained), 'seen, not predicted'],
    ],
    [LEFT, RIGHT, LEFT],
    width,
  );
  const counts = [0, 0, 0, differing, missing, unexplained];
  return lines.map((line, k) => bad(counts[k] ?? 0, line));
}

function verdictLine(report: RecordedReport, c: Colours, width: number): string[] {
  if (report.outgoing === 0 && allAgree(report)) return ['  Nothing to compare: the host sent nothing here.'];
  if (allAgree(report)) return [`  ${c.green('These rules explain everything that the host sent.')}`];
  const { findings: list } = report;
  return wrap(
    `These rules do not explain what the host sent: ${counted(list.length, 'connection')} disagree.`,
    width,
    '  ',
  );
}

function ports({ ports: { learnt, unknown, refused, unforeseen } }: RecordedReport, width: number): string[] {
  const rows: [number, string][] = [
    [learnt, 'learnt from the first packet that left'],
    [unknown, 'not seen leaving, drawn anew'],
    [refused, 'seen, but not possible with these rules, drawn anew'],
    [unforeseen, 'other than expected: these rules would have kept the port'],
  ];
  const shown = rows.filter(([count]) => count > 0).map(([count, text]) => [grouped(count), text]);
  return table(shown, [RIGHT, LEFT], width);
}

const KINDS: readonly (readonly [FindingKind, string])[] = [
  ['differs', 'Sent otherwise than predicted'],
  ['missing', 'Predicted, not seen'],
  ['unexplained', 'Seen, not predicted'],
];

function findings(report: RecordedReport, kind: FindingKind, width: number): string[] {
  const list = report.findings.filter((each) => each.kind === kind);
  const lines = shortened(list, MOST_SHOWN, (each) => finding(each, width));
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

function finding(each: Finding, width: number): string[] {
  const { incoming, recorded, predicted, fields } = each;
  const rows: string[][] = [];
  if (incoming !== undefined) rows.push(['came in', ifaceOf(incoming), safe(incoming.packet), placeText(incoming)]);
  if (recorded !== undefined) rows.push(['recorded', ifaceOf(recorded), safe(recorded.packet), placeText(recorded)]);
  if (predicted !== undefined) {
    const what = predicted.packet ?? WORDS.get(predicted.verdict) ?? predicted.verdict;
    const why = predicted.rule ?? predicted.why ?? '';
    rows.push(['predicted', predicted.iface ?? '-', safe(what), safe(why)]);
  }
  const lines = table(rows, [LEFT, LEFT, LEFT, LEFT], Number.POSITIVE_INFINITY);
  const named = fields.filter(({ field }) => field !== 'verdict');
  const differences = table(
    named.map(({ field, kernel, predicted: ours }) => [safe(field), `recorded ${kernel}`, `predicted ${ours}`]),
    [LEFT, LEFT, LEFT],
    Number.POSITIVE_INFINITY,
  ).map((line) => `  ${line}`);
  const more = moreText(each);
  return [...lines, ...differences, ...wrap(`${each.reason}.`, width, '    '), ...more, ''];
}

const WORDS = new Map([
  ['drop', 'dropped'],
  ['local', 'delivered to the host'],
  ['held', 'held, waiting for other fragments'],
]);

const ifaceOf = ({ iface }: RecordPlace): string => (iface === undefined ? '-' : safe(iface));
const placeText = ({ file, frame }: RecordPlace): string => `${safe(file)} #${frame}`;

function moreText({ kind, packets }: Finding): string[] {
  const rest = { ...packets, [kind]: packets[kind] - 1 };
  const total = rest.differs + rest.missing + rest.unexplained;
  if (total === 0) return [];
  const parts = [
    [rest.differs, 'sent otherwise'],
    [rest.missing, 'not seen'],
    [rest.unexplained, 'not predicted'],
  ].flatMap(([count, text]) => (count === 0 ? [] : [`${grouped(Number(count))} ${text}`]));
  return [`    And ${counted(total, 'more packet')} of this connection, both directions: ${parts.join(', ')}.`];
}

function setAside(aside: SetAside, width: number): string[] {
  const answers = [...aside.answers.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...aside.answers].map(([what, count]) => `${grouped(count)} ${what}`).join(', ');
  const rows: [number, string][] = [
    [answers, `the host's own answers to packets for it or refused by it: ${kinds}`],
    [aside.own, 'of connections that the host itself began'],
    [aside.copies, 'seen once more on another interface (a port of a bridge, a VLAN)'],
    [aside.bridged, 'passed between ports of a bridge, without IP'],
    [aside.beforeCapture, 'of connections that began before the capture: what the host made of them then is not known'],
    [aside.cameElsewhere, 'sent for what came in by an interface that was not captured'],
    [aside.leftElsewhere, 'predicted to leave by an interface that was not captured'],
    [aside.atTheEnd, 'predicted at the very end of the capture'],
    [aside.notEvaluated, 'of a kind that natreplay does not evaluate'],
  ];
  const shown = rows.filter(([count]) => count > 0).map(([count, text]) => [grouped(count), text]);
  return table(shown, [RIGHT, LEFT], width);
}
