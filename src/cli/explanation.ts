/** `natreplay explain`: a packet in words, or a record of a capture, and its way through the host. */
import { NatreplayError, printable } from '../errors.js';
import { type ExplainedPacket, explainPacket } from '../explain/explain.js';
import { explanationMermaid } from '../explain/mermaid.js';
import { parsePacketText } from '../explain/packettext.js';
import { explainRecord } from '../explain/record.js';
import { explanationText } from '../explain/text.js';
import type { Host } from '../host/types.js';
import { writeTextFile } from '../report/files.js';
import { colours } from '../report/page.js';
import type { ExplainCliOptions } from './explain.js';
import { captureInput, type LoadedRules, loadHost, loadRules } from './inputs.js';
import { checkPaths, type NamedPath } from './paths.js';
import { separateCaptures } from './separate.js';

/** Throws NatreplayError. */
export async function explain(
  words: readonly string[],
  options: ExplainCliOptions,
  signal: AbortSignal,
): Promise<void> {
  const asked = options.packet === undefined ? packetAmong(words, options) : capturesAmong(words, options);
  const { json } = options;
  checkPaths(inputPaths(asked, options.host), json === undefined ? [] : [{ option: '--json', path: json }]);
  // What is wrong with the packet is said before files are read.
  const spec = asked.packet === undefined ? undefined : parsePacketText(asked.packet);
  const host = loadHost({ host: options.host, iface: options.iface ?? [], route: options.route ?? [] });
  const rules = loadRules({ ...asked, unsupported: options.unsupported }, host, options.host);
  rules.warnings.forEach(warn);
  const { seed, tables, checksum: checksums } = options;
  const settings = { host, rules: rules.ipv4, rules6: rules.ipv6, seed, tables };
  const explained =
    spec === undefined
      ? await explainRecord({
          ...settings,
          captures: asked.captures.map(captureInput),
          record: options.packet ?? 0,
          checksums,
          signal,
        })
      : explainPacket(spec, settings);
  await tell(explained, rules, options);
}

interface Asked {
  /** Undefined: a record of the captures. */
  readonly packet: string | undefined;
  readonly captures: readonly string[];
  readonly rules: readonly string[];
  readonly rules6: readonly string[];
}

/** The words of a packet in one argument or several; `--rules` swallows what is named behind its file. */
function packetAmong(words: readonly string[], { rules = [], rules6 = [] }: ExplainCliOptions): Asked {
  const isPacket = (text: string): boolean => / -?> /.test(text);
  const swallowed = [...rules.slice(1), ...rules6.slice(1)].filter(isPacket);
  const all = [...words, ...swallowed];
  if (all.length === 0)
    throw new NatreplayError('USAGE_NO_PACKET', 'no packet is named', {
      advice: "state one, as in 'tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0', or --packet NUMBER and a capture",
    });
  const kept = (files: readonly string[]): string[] => files.filter((file, k) => k === 0 || !isPacket(file));
  return { packet: all.join(' '), captures: [], rules: kept(rules), rules6: kept(rules6) };
}

function capturesAmong(words: readonly string[], { rules, rules6 }: ExplainCliOptions): Asked {
  const separated = separateCaptures(words, rules ?? [], rules6 ?? []);
  if (separated.captures.length === 0)
    throw new NatreplayError('USAGE_NO_CAPTURE', 'no capture is named', {
      advice: 'name a file, or - for standard input',
    });
  return { packet: undefined, ...separated };
}

function inputPaths({ captures, rules, rules6 }: Asked, host: string | undefined): NamedPath[] {
  return [
    ...captures.map((capture) => ({ option: 'capture', path: captureInput(capture).path })),
    ...rules.map((path) => ({ option: '--rules', path })),
    ...rules6.map((path) => ({ option: '--rules6', path })),
    ...(host === undefined ? [] : [{ option: '--host', path: host }]),
  ];
}

async function tell(
  { explanation, host }: ExplainedPacket,
  rules: LoadedRules,
  options: ExplainCliOptions,
): Promise<void> {
  const { json } = options;
  const assumptions = assumptionsOf(host, rules);
  if (json !== undefined) {
    const { explanationJsonText } = await import('../explain/json.js');
    await writeTextFile(json, explanationJsonText(explanation, assumptions));
  }
  if (options.quiet === true) return;
  for (const assumption of assumptions) process.stderr.write(`natreplay: warning: assumed: ${printable(assumption)}\n`);
  const stream = json === '-' ? process.stderr : process.stdout;
  const colour = stream.isTTY === true && process.env['NO_COLOR'] === undefined;
  stream.write(
    options.format === 'mermaid'
      ? explanationMermaid(explanation)
      : explanationText(explanation, { colours: colours(colour), all: options.all === true }),
  );
}

function assumptionsOf(host: Host, { ipv4, ipv6 }: LoadedRules): readonly string[] {
  return ipv4 === undefined && ipv6 === undefined
    ? [...host.assumptions, 'no rules were named: packets are only routed']
    : host.assumptions;
}

function warn(text: string): void {
  process.stderr.write(`natreplay: warning: ${printable(text)}\n`);
}
