/**
 * An explanation as a Mermaid flowchart. Labels hold what strangers wrote (names, comments), so everything in them but
 * letters, digits and a few harmless marks becomes an entity code: nothing can end a label or be taken for Markdown.
 */
import { safe } from '../report/page.js';
import type { ChainVisit, Explanation, HookStage, Journey, RuleVisit, Step } from './model.js';
import {
  changesOf,
  hookSentence,
  natSentence,
  outcomeSentence,
  packetSentence,
  routingSentence,
  trackSentence,
} from './sentences.js';

const HARMLESS = /[^A-Za-z0-9 ,.:/_()=+-]/gu;
/** A long rule set has many rules that a packet tries; a label shows the beginning. */
const LONGEST_LABEL = 160;

/** `graph` of the packet's way and its reply's; ends with a newline. */
export function explanationMermaid({ journey, reply, noReply }: Explanation): string {
  const chart = new Chart();
  chart.journey('p', journey);
  if (reply !== undefined) chart.journey('r', reply);
  else if (noReply !== undefined) chart.node('r', 'rounded', [`no reply: ${noReply}`]);
  return `flowchart TD\n${chart.lines.map((line) => `  ${line}\n`).join('')}`;
}

const SHAPES = {
  box: ['["', '"]'],
  rounded: ['(["', '"])'],
  diamond: ['{"', '"}'],
} as const;

class Chart {
  readonly lines: string[] = [];
  private depth = 0;

  /** `id`: letters and digits, which all ids of this journey begin with. */
  journey(id: string, journey: Journey): void {
    const { path, outcome } = journey;
    this.node(`${id}in`, 'rounded', [packetSentence(journey)]);
    let last = `${id}in`;
    path.forEach((stage, k) => {
      const own = `${id}${k}`;
      if (stage.kind === 'routing') this.node(own, 'diamond', [`routing: ${routingSentence(stage)}`]);
      const [first, end] = stage.kind === 'routing' ? [own, own] : this.hook(own, stage);
      this.line(`${last} --> ${first}`);
      last = end;
    });
    this.node(`${id}out`, 'rounded', [outcomeSentence(outcome)]);
    this.line(`${last} --> ${id}out`);
  }

  node(id: string, shape: keyof typeof SHAPES, texts: readonly string[]): void {
    const [open, close] = SHAPES[shape];
    this.line(`${id}${open}${texts.map(label).join('<br/>')}${close}`);
  }

  /** The ids of what comes first and last in it. */
  private hook(id: string, stage: HookStage): [string, string] {
    this.line(`subgraph ${id}["${label(hookSentence(stage))}"]`);
    this.depth++;
    const nodes = stage.steps.flatMap((step, k) => this.step(`${id}s${k}`, stage.hook, step));
    if (nodes.length === 0) {
      this.node(`${id}s`, 'box', ['no table has anything here']);
      nodes.push(`${id}s`);
    }
    for (const [k, node] of nodes.entries()) if (k > 0) this.line(`${nodes[k - 1] ?? ''} --> ${node}`);
    this.depth--;
    this.line('end');
    return [nodes[0] ?? id, nodes.at(-1) ?? id];
  }

  private step(id: string, hook: string, step: Step): string[] {
    switch (step.kind) {
      case 'conntrack':
        this.node(id, 'box', ['conntrack', trackSentence(step)]);
        return [id];
      case 'table':
        this.node(id, 'box', [`${step.table} ${hook}`, ...chainLines(step.walk)]);
        return [id];
      case 'nat': {
        const rules = step.walk === undefined ? [] : chainLines(step.walk);
        const changes = step.change === undefined ? [] : changesOf(step.change);
        this.node(id, 'box', [`nat ${hook}`, ...rules, natSentence(step), ...changes]);
        return [id];
      }
      case 'confirm':
        return [];
    }
  }

  private line(text: string): void {
    this.lines.push(`${'  '.repeat(this.depth)}${text}`);
  }
}

/** The rules that matched, chain in chain, and how many did not. */
function chainLines(visit: ChainVisit): string[] {
  const lines: string[] = [];
  let idle = 0;
  const close = (): void => {
    if (idle > 0) lines.push(`${idle} of ${visit.chain} ${idle === 1 ? 'does' : 'do'} not match`);
    idle = 0;
  };
  for (const rule of visit.rules) {
    if (!rule.matched && !rule.drops) {
      idle++;
      continue;
    }
    close();
    lines.push(ruleLine(rule));
    for (const line of rule.jump === undefined ? [] : chainLines(rule.jump)) lines.push(line);
  }
  close();
  if (visit.end === 'policy') lines.push(`${visit.chain} policy ${visit.policy ?? ''}`);
  return lines;
}

/** Without `-A`: a label that begins with a dash and a blank would be a list. */
const ruleLine = ({ rule, text }: RuleVisit): string => `${rule} ${text.replace(/^-A \S+ ?/, '')}`;

/** Text between the quotes of a label. */
export function label(text: string): string {
  const plain = safe(text);
  const shown = plain.length > LONGEST_LABEL ? `${[...plain].slice(0, LONGEST_LABEL).join('')}...` : plain;
  return shown.replace(HARMLESS, (c) => `#${c.codePointAt(0) ?? 63};`);
}
