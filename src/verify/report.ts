/** What people read after `natreplay verify`. */
import { counted, grouped } from '../report/humanize.js';
import type { LineDifference } from './listings.js';
import type { Backend } from './options.js';
import { SKIPPED } from './source.js';
import { TO_HOST, type VerifyMismatch, type VerifyResult } from './verify.js';

export interface ReportOptions {
  /** `Linux 6.18.5`, as uname says. */
  readonly kernel: string;
  readonly backend: Backend;
  /** Mismatches of each kind that are printed. */
  readonly most: number;
}

export function agrees(result: VerifyResult): boolean {
  return (
    result.differing === 0 &&
    result.counters.differences.length === 0 &&
    result.counters6.differences.length === 0 &&
    result.connections.differences.length === 0
  );
}

export function verifyReport(result: VerifyResult, options: ReportOptions): string {
  const lines = [headline(result, options), ...figures(result)];
  for (const sentence of result.assumptions) lines.push(`  assumed      ${sentence}`);
  lines.push(...mismatchLines(result.mismatches, result.differing, options.most));
  const rules = [...result.counters.differences, ...result.counters6.differences].map((difference) => ({
    ...difference,
    what: `${difference.rule}  ${difference.text}`,
  }));
  lines.push(...listingLines('counters that differ', rules, options.most));
  lines.push(...listingLines('connections that differ', result.connections.differences, options.most));
  return `${lines.join('\n')}\n`;
}

function headline(result: VerifyResult, { kernel, backend }: ReportOptions): string {
  const verdict = agrees(result) ? 'natreplay and the kernel agree' : 'natreplay and the kernel DIFFER';
  return `${verdict}: ${counted(result.packets, 'packet')} through ${kernel} (iptables ${backend})`;
}

function figures(result: VerifyResult): string[] {
  const { verdicts, counters, counters6, connections } = result;
  const count = (name: Parameters<typeof verdicts.get>[0]): string => grouped(verdicts.get(name) ?? 0);
  const held = verdicts.get('held') ?? 0;
  const compared = counters.compared + counters6.compared;
  const wrong = counters.differences.length + counters6.differences.length;
  const lines = [
    `  packets      ${grouped(result.agreed)} agree, ${grouped(result.differing)} differ`,
    `  forwarded    ${count('forward')}, to the host ${count('local')}, dropped ${count('drop')}${held > 0 ? `, held ${grouped(held)}` : ''}`,
    `  counters     ${grouped(compared - wrong)} of ${grouped(compared)} agree`,
    `  connections  ${grouped(connections.compared - connections.differences.length)} of ${grouped(connections.compared)} agree`,
  ];
  if (result.skipped.length > 0) {
    const parts = result.skipped.map(([reason, n]) => `${grouped(n)} ${SKIPPED[reason]}`);
    lines.push(`  left out     ${parts.join(', ')}`);
  }
  if (result.portsFollowed > 0)
    lines.push(
      `  ports        ${counted(result.portsFollowed, 'random choice')} of the kernel followed, each permitted and free`,
    );
  if (result.checksumsFinished > 0)
    lines.push(`  checksums    ${grouped(result.checksumsFinished)} left to the network card, finished for both sides`);
  if (result.filled > 0)
    lines.push(`  snaplen      ${counted(result.filled, 'packet')} filled up with zeros for both sides`);
  if (result.mtuRaised)
    lines.push('  MTU          65,535 on every interface: the captures hold packets merged by offloading');
  if (result.unset.length > 0) lines.push(`  not set      ${result.unset.join(', ')}`);
  if (result.seconds > 0)
    lines.push(`  speed        ${grouped(Math.round(result.packets / result.seconds))} packets/s through the kernel`);
  return lines;
}

function mismatchLines(mismatches: readonly VerifyMismatch[], differing: number, most: number): string[] {
  const lines: string[] = [];
  const shown = mismatches.slice(0, most);
  for (const mismatch of shown) lines.push('', ...oneMismatch(mismatch));
  const packets = new Set(shown.map(({ record }) => record)).size;
  if (differing > packets) lines.push('', `and ${counted(differing - packets, 'more packet')} that differ`);
  return lines;
}

function oneMismatch(mismatch: VerifyMismatch): string[] {
  const { record, ingress, packet, verdict, why, path } = mismatch;
  const lines = [`packet ${record} (${ingress}, ${packet})`];
  lines.push(`  kernel     ${sides(mismatch, 'kernel')}`);
  lines.push(`  natreplay  ${sides(mismatch, 'predicted')}${why === '' ? '' : ` (${why})`}`);
  if (mismatch.kind === 'differs') {
    const width = Math.max(...mismatch.fields.map(({ field }) => field.length));
    const kernelWidth = Math.max(...mismatch.fields.map(({ kernel }) => kernel.length));
    for (const { field, kernel, predicted } of mismatch.fields)
      lines.push(`    ${field.padEnd(width)}  kernel ${kernel.padEnd(kernelWidth)}  natreplay ${predicted}`);
  }
  lines.push(path.length === 0 ? '  no rule counted it in natreplay' : `  its way in natreplay (${verdict}):`);
  for (const { rule, text } of path) lines.push(`    ${rule}  ${text}`);
  return lines;
}

function sides(mismatch: VerifyMismatch, side: 'kernel' | 'predicted'): string {
  const frame = mismatch.kind === 'differs' ? mismatch[side] : side in mismatch ? frameOf(mismatch, side) : undefined;
  if (frame === undefined) return 'nothing';
  return frame.iface === TO_HOST ? 'delivered it to the host' : `sent it out of ${frame.iface}`;
}

function frameOf(mismatch: VerifyMismatch, side: 'kernel' | 'predicted'): { readonly iface: string } | undefined {
  if (mismatch.kind === 'not-sent') return side === 'predicted' ? mismatch.predicted : undefined;
  if (mismatch.kind === 'not-predicted') return side === 'kernel' ? mismatch.kernel : undefined;
  return mismatch[side];
}

function listingLines(title: string, differences: readonly LineDifference[], most: number): string[] {
  if (differences.length === 0) return [];
  const lines = ['', `${title}:`];
  for (const { what, kernel, predicted } of differences.slice(0, most))
    lines.push(`  ${what}`, `    kernel ${kernel ?? 'has none'}`, `    natreplay ${predicted ?? 'has none'}`);
  if (differences.length > most) lines.push(`  and ${grouped(differences.length - most)} more`);
  return lines;
}
