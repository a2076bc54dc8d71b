/** A comparison as text, JSON, Markdown, JUnit XML, or annotations of GitHub Actions. */
import { z } from 'zod';
import { printable } from '../errors.js';
import { asciiJson } from '../report/jsontext.js';
import { type Comparison, type Difference, machineFactor, type TimeComparison } from './compare.js';

export const COMPARE_FORMATS = ['text', 'json', 'markdown', 'junit', 'github'] as const;
export type CompareFormat = (typeof COMPARE_FORMATS)[number];

export function comparisonText(comparison: Comparison, format: CompareFormat): string {
  switch (format) {
    case 'text':
      return text(comparison);
    case 'json':
      return asciiJson(comparisonJson(comparison));
    case 'markdown':
      return markdown(comparison);
    case 'junit':
      return junit(comparison);
    case 'github':
      return github(comparison);
  }
}

const OUTPUT_DIFFERS =
  'the output differs: this is another program, or other rules, and times compare what is not alike';

function heads({ differences, unlike, warnings }: Comparison): string[] {
  const isOther = differences.some(({ figure }) => figure === 'output');
  return [...(isOther ? [OUTPUT_DIFFERS] : []), ...unlike.map((why) => `unlike machines: ${why}`), ...warnings];
}

function differenceText({ ruleSet, figure, base, now }: Difference): string {
  return `${ruleSet}: ${figure} ${base} -> ${now}`;
}

function timeText({ ruleSet, figure, ratio, low, high, verdict, beyondLimit }: TimeComparison): string {
  const interval = low === null || high === null ? '' : ` [${low.toFixed(3)}-${high.toFixed(3)}]`;
  const said = {
    slower: `${percentage(ratio)} slower`,
    faster: `${percentage(ratio)} faster`,
    same: 'no difference can be told',
    unknown: 'nothing can be told: too few runs',
  }[verdict];
  return `${ruleSet}: ${figure} ${ratio.toFixed(3)}x${interval}, ${said}${beyondLimit ? ', BEYOND THE LIMIT' : ''}`;
}

const percentage = (ratio: number): string => `${Math.abs((ratio - 1) * 100).toFixed(1)} %`;

function conclusion({ maxRegression, regression }: Comparison): string {
  if (maxRegression === null) return '';
  const limit = `${Number((maxRegression * 100).toFixed(3))} %`;
  return regression ? `slower than the limit of ${limit} allows` : `within the limit of ${limit}`;
}

function text(comparison: Comparison): string {
  const { base, now, differences, times } = comparison;
  const factor = machineFactor(base.result, now.result);
  const lines = [
    `${now.name} against ${base.name}`,
    ...heads(comparison).map((line) => `! ${line}`),
    differences.length === 0 ? 'exact figures: all equal' : 'exact figures that differ:',
    ...differences.map((difference) => `  ${differenceText(difference)}`),
    `times, by a machine ${factor.toFixed(2)}x as fast, in units of its calibration loop:`,
    ...times.map((time) => `  ${timeText(time)}`),
    conclusion(comparison),
  ];
  return `${lines
    .filter((line) => line !== '')
    .map(printable)
    .join('\n')}\n`;
}

const ratio = z.number().min(0);

export const comparisonSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    kind: z.literal('compare'),
    base: z.string(),
    now: z.string(),
    sameOutput: z.boolean(),
    differences: z.array(z.object({ ruleSet: z.string(), figure: z.string(), base: z.string(), now: z.string() })),
    machineFactor: ratio.describe('How many times as fast the machine was as the base’s, by the calibration loop.'),
    unlike: z.array(z.string()).describe('Why times should not be compared; empty: they may be.'),
    times: z.array(
      z.object({
        ruleSet: z.string(),
        figure: z.string(),
        ratio: ratio.describe('Time now over time of the base, both in units of the calibration loop.'),
        low: ratio.nullable().describe('Lower end of the 95 % interval; null: too few runs.'),
        high: ratio.nullable(),
        verdict: z.enum(['slower', 'faster', 'same', 'unknown']),
        beyondLimit: z.boolean(),
      }),
    ),
    maxRegression: ratio.nullable(),
    regression: z.boolean(),
    warnings: z.array(z.string()),
  })
  .meta({ title: 'natreplay compare' });

/** The JSON Schema published as docs/compare.schema.json. */
export function comparisonJsonSchema(): unknown {
  return z.toJSONSchema(comparisonSchema, { io: 'input' });
}

export function comparisonJson(comparison: Comparison): z.infer<typeof comparisonSchema> {
  const { base, now, differences, times, unlike, warnings, maxRegression, regression } = comparison;
  return {
    schema: 1,
    kind: 'compare',
    base: base.name,
    now: now.name,
    sameOutput: !differences.some(({ figure }) => figure === 'output'),
    differences: [...differences],
    machineFactor: machineFactor(base.result, now.result),
    unlike: [...unlike],
    times: [...times],
    maxRegression,
    regression,
    warnings: [...warnings],
  };
}

function markdown(comparison: Comparison): string {
  const { base, now, differences, times } = comparison;
  const lines = [`### ${escaped(now.name)} against ${escaped(base.name)}`, ''];
  for (const line of heads(comparison)) lines.push(`> ${escaped(line)}`, '');
  if (differences.length > 0) {
    lines.push('| rule set | exact figure | base | new |', '| --- | --- | --- | --- |');
    for (const { ruleSet, figure, base: before, now: after } of differences)
      lines.push(`| ${[ruleSet, figure, before, after].map(escaped).join(' | ')} |`);
    lines.push('');
  }
  lines.push('| rule set | time | ratio | 95 % interval | |', '| --- | --- | --- | --- | --- |');
  for (const { ruleSet, figure, ratio: value, low, high, verdict, beyondLimit } of times) {
    const interval = low === null || high === null ? '-' : `${low.toFixed(3)} - ${high.toFixed(3)}`;
    const said = beyondLimit ? '**beyond the limit**' : verdict;
    lines.push(`| ${escaped(ruleSet)} | ${figure} | ${value.toFixed(3)} | ${interval} | ${said} |`);
  }
  const end = conclusion(comparison);
  return `${lines.join('\n')}\n${end === '' ? '' : `\n${end}\n`}`;
}

/** Names come from strangers: nothing of them may be taken for Markdown or HTML. */
function escaped(name: string): string {
  return printable(name)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/[\\`*_{}[\]()#+!|~>]/g, (sign) => `\\${sign}`);
}

function junit(comparison: Comparison): string {
  const { times, differences } = comparison;
  const cases = times.map((time) => {
    const name = `${time.ruleSet}: ${time.figure}`;
    const body = time.beyondLimit
      ? `<failure message="${xml(timeText(time))}"/>`
      : `<system-out>${xml(timeText(time))}</system-out>`;
    return `    <testcase classname="natreplay compare" name="${xml(name)}">${body}</testcase>`;
  });
  const out = [...heads(comparison), ...differences.map(differenceText)].map((line) => `${xml(line)}\n`).join('');
  const failures = times.filter(({ beyondLimit }) => beyondLimit).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites tests="${times.length}" failures="${failures}">`,
    `  <testsuite name="natreplay compare" tests="${times.length}" failures="${failures}">`,
    ...cases,
    `    <system-out>${out}</system-out>`,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

const xml = (value: string): string => printable(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Workflow commands: an annotation a line. */
function github(comparison: Comparison): string {
  const command = (level: 'error' | 'warning' | 'notice', title: string, message: string): string =>
    `::${level} title=${property(title)}::${data(message)}`;
  const lines = [
    ...heads(comparison).map((line) => command('warning', 'natreplay compare', line)),
    ...comparison.differences.map((one) => command('warning', 'natreplay: exact figure', differenceText(one))),
    ...comparison.times.map((time) =>
      command(time.beyondLimit ? 'error' : 'notice', 'natreplay: time', timeText(time)),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

const data = (value: string): string =>
  printable(value).replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const property = (value: string): string => data(value).replace(/:/g, '%3A').replace(/,/g, '%2C');
