/** The comparison as people read it. Everything from outside goes through `safe`. */
import { counted, durationSeconds, grouped } from '../../report/humanize.js';
import { type Colours, type Column, safe, shortened, table, wrap } from '../../report/page.js';
import { learntPorts } from '../../report/terminal.js';
import type { Finding, FindingKind, Prediction, RecordedReport, RecordPlace, SetAside } from './types.js';

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
  if (report.agreed === 0 && allAgree(report))
    return ['  Nothing was compared: no record has a prediction to be held against.'];
  if (allAgree(report)) return [`  ${c.green('These rules explain everything that the host sent.')}`];
  const { findings: list } = report;
  return wrap(
    `These rules do not explain what the host sent: ${counted(list.length, 'connection')} ${list.length === 1 ? 'disagrees' : 'disagree'}.`,
    width,
    '  ',
  );
}

function ports({ ports: counts }: RecordedReport, width: number): string[] {
  const { learnt, unknown, refused, unforeseen } = counts;
  return learnt + unknown + refused + unforeseen === 0 ? [] : learntPorts(counts, width);
}

const KINDS: readonly (readonly [FindingKind, string])[] = [
  ['differs', 'Sent otherwise than predicted'],
  ['missing', 'Predicted, not seen'],
  ['unexplained', 'Seen, not predicted'],
];

/** Connections that disagree in the same way are told by the first of them. */
function findings(report: RecordedReport, kind: FindingKind, width: number): string[] {
  const alike = new Map<string, Finding[]>();
  for (const each of report.findings) {
    if (each.kind !== kind) continue;
    const key = likeness(each);
    const group = alike.get(key);
    if (group === undefined) alike.set(key, [each]);
    else group.push(each);
  }
  const lines = shortened([...alike.values()], MOST_SHOWN, (group) => finding(group, width));
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

function likeness({ reason, incoming, recorded, predicted, fields }: Finding): string {
  const protocol = (incoming ?? recorded)?.packet.split(' ')[0];
  const names = fields.map(({ field }) => field);
  return [reason, protocol, incoming?.iface, recorded?.iface, predicted?.iface, predicted?.rule, ...names].join();
}

function finding(group: readonly Finding[], width: number): string[] {
  const [each] = group;
  if (each === undefined) return [];
  const { incoming, recorded, predicted, fields } = each;
  const rows: string[][] = [];
  if (incoming !== undefined) rows.push(['came in', ifaceOf(incoming), safe(incoming.packet), placeText(incoming)]);
  if (recorded !== undefined) rows.push(['recorded', ifaceOf(recorded), safe(recorded.packet), placeText(recorded)]);
  if (predicted !== undefined) rows.push(['predicted', ...predictedCells(predicted)]);
  const lines = table(rows, [LEFT, LEFT, LEFT, LEFT], Number.POSITIVE_INFINITY);
  const named = fields.filter(({ field }) => field !== 'verdict');
  const differences = table(
    named.map(({ field, kernel, predicted: ours }) => [safe(field), `recorded ${kernel}`, `predicted ${ours}`]),
    [LEFT, LEFT, LEFT],
    Number.POSITIVE_INFINITY,
  ).map((line) => `  ${line}`);
  return [
    ...lines,
    ...differences,
    ...wrap(`${each.reason}.`, width, '    '),
    ...moreText(each),
    ...likewise(group),
    '',
  ];
}

function predictedCells({ verdict, iface, packet, rule, why }: Prediction): string[] {
  const cause = [rule, why].filter((each) => each !== undefined).join(', ');
  return [iface ?? WORDS.get(verdict) ?? verdict, safe(packet ?? 'as it came in'), safe(cause)];
}

/** Where the other connections are, so that each can be looked up. */
function likewise([, ...others]: readonly Finding[]): string[] {
  if (others.length === 0) return [];
  const packets = others.reduce((sum, each) => sum + total(each.packets), 0);
  const places = others.flatMap(({ incoming, recorded }) => incoming ?? recorded ?? []);
  const frames = places.slice(0, MOST_PLACES).map(({ frame }) => `#${frame}`);
  const dots = places.length > MOST_PLACES ? ', ...' : '';
  return [
    `    And ${counted(others.length, 'more connection')} likewise, ${counted(packets, 'packet')}: ${frames.join(', ')}${dots}`,
  ];
}

const MOST_PLACES = 8;

const WORDS = new Map([
  ['drop', 'drop'],
  ['local', 'host'],
  ['held', 'hold'],
]);

const ifaceOf = ({ iface }: RecordPlace): string => (iface === undefined ? '-' : safe(iface));
const placeText = ({ file, frame }: RecordPlace): string => `${safe(file)} #${frame}`;

const total = ({ differs, missing, unexplained }: Finding['packets']): number => differs + missing + unexplained;

function moreText({ kind, packets }: Finding): string[] {
  const rest = { ...packets, [kind]: packets[kind] - 1 };
  if (total(rest) === 0) return [];
  const parts = [
    [rest.differs, 'sent otherwise'],
    [rest.missing, 'not seen'],
    [rest.unexplained, 'not predicted'],
  ].flatMap(([count, text]) => (count === 0 ? [] : [`${grouped(Number(count))} ${text}`]));
  return [`    And ${counted(total(rest), 'more packet')} of this connection, both directions: ${parts.join(', ')}.`];
}

const SINGULAR = new Map([
  ['TCP resets', 'TCP reset'],
  ['TCP segments', 'TCP segment'],
  ['UDP datagrams', 'UDP datagram'],
  ['ICMP errors', 'ICMP error'],
  ['echo replies', 'echo reply'],
]);

function setAside(aside: SetAside, width: number): string[] {
  const answers = [...aside.answers.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...aside.answers].map(([what, count]) => counted(count, SINGULAR.get(what) ?? what, what)).join(', ');
  const rows: [number, string][] = [
    [answers, `the host's own answers to packets for it or refused by it: ${kinds}`],
    [aside.own, 'of connections that the host itself began'],
    [aside.copies, 'seen once more on another interface (a port of a bridge, a VLAN)'],
    [aside.bridged, 'passed between ports of a bridge, not routed'],
    [aside.beforeCapture, 'of connections that began before the capture: what the host made of them then is not known'],
    [aside.cameElsewhere, "the host's own, or sent for what came in by an interface that was not captured"],
    [aside.leftElsewhere, 'predicted to leave by an interface that was not captured'],
    [aside.atTheEnd, 'predicted at the very end of the capture'],
    [aside.notEvaluated, 'of a kind that natreplay does not evaluate'],
  ];
  const shown = rows.filter(([count]) => count > 0);
  const digits = Math.max(...shown.map(([count]) => grouped(count).length));
  return shown.flatMap(([count, text]) => wrap(text, width, `  ${grouped(count).padStart(digits)}  `));
}
