/** An explanation as a tree that a person can follow. */
import { grouped } from '../report/humanize.js';
import { type Colours, safe } from '../report/page.js';
import type {
  ChainVisit,
  Change,
  Explanation,
  HookStage,
  Journey,
  PacketState,
  RoutingStage,
  RuleVisit,
  Step,
} from './model.js';
import {
  changesOf,
  hookSentence,
  natSentence,
  outcomeSentence,
  packetSentence,
  replyFits,
  routingSentence,
  trackSentence,
  walkSentence,
  withFlags,
} from './sentences.js';

export interface TextOptions {
  readonly colours: Colours;
  /** Every rule that was tried, however many in a row do not match. */
  readonly all: boolean;
}

/** A line of the tree, more lines below it, and what hangs on it. */
interface Node {
  readonly text: string;
  readonly more: readonly string[];
  readonly children: readonly Node[];
}

/** So many rules in a row that do not match are still shown. */
const FEW = 3;
const MOST_CONDITIONS = 3;

/** Ends with a newline. Holds no control characters but those and what `colours` adds. */
export function explanationText(explanation: Explanation, options: TextOptions): string {
  const { colours } = options;
  const { journey, reply, first, noReply } = explanation;
  let lines: string[] = [];
  const heading = (title: string, text: string): void => {
    if (lines.length > 0) lines.push('');
    lines.push(`${colours.bold(title)} ${safe(text)}`);
  };
  if (first !== undefined) {
    heading('First packet', packetSentence(first));
    lines = lines.concat(short(first));
  }
  heading('Packet', packetSentence(journey));
  lines = lines.concat(tree(journey, options));
  heading('Outcome', outcomeSentence(journey.outcome));
  const { after } = journey.outcome;
  if (journey.packet !== undefined && after !== undefined)
    lines.push(`  before  ${safe(stateText(journey.packet))}`, `  after   ${safe(stateText(after))}`);
  if (reply === undefined) {
    heading('Reply', `none: ${noReply ?? ''}`);
  } else {
    heading('Reply', packetSentence(reply));
    lines = lines.concat(short(reply));
    if (replyFits(explanation) === false)
      lines.push('  The sender gets it from another address than it sent to, and will not know what it belongs to.');
  }
  return `${lines.join('\n')}\n`;
}

const stateText = (state: PacketState): string => `${withFlags(state)}, TTL ${state.ttl}`;

/** A line for each stage. */
function short({ path, outcome, packet }: Journey): string[] {
  const lines: string[] = [];
  let ttl = packet?.ttl;
  for (const stage of path) {
    if (stage.kind === 'routing') {
      lines.push(`routing      ${routingSentence(stage)}`);
      continue;
    }
    const said = stage.steps.flatMap(shortStep);
    if (ttl !== undefined && ttl !== stage.packet.ttl) said.unshift(`TTL ${ttl} -> ${stage.packet.ttl}`);
    ({ ttl } = stage.packet);
    lines.push(`${stage.hook.padEnd(12)} ${said.length === 0 ? 'nothing to do' : said.join('; ')}`);
  }
  return [...lines.map((line) => `  ${safe(line)}`), `  ${safe(`${outcomeSentence(outcome)}`)}`];
}

function shortStep(step: Step): string[] {
  switch (step.kind) {
    case 'conntrack':
      return [trackSentence(step)];
    case 'table':
      return [walkSentence(step.table, step.walk)];
    case 'nat':
      if (step.change !== undefined) return [`${natSentence(step)}: ${changesOf(step.change).join(', ')}`];
      return step.walk === undefined ? [] : [walkSentence('nat', step.walk)];
    case 'confirm':
      return [];
  }
}

function tree({ path, packet }: Journey, options: TextOptions): string[] {
  let ttl = packet?.ttl;
  const nodes = path.map((stage) => {
    const node = stage.kind === 'routing' ? routingNode(stage, options) : hookNode(stage, ttl, options);
    if (stage.kind === 'hook') ({ ttl } = stage.packet);
    return node;
  });
  return nodes.flatMap((node, k) => draw(node, '', k === nodes.length - 1));
}

/** A node and what hangs on it; `lead` stands in front of each line. */
function draw({ text, more, children }: Node, lead: string, isLast: boolean): string[] {
  const below = `${lead}${isLast ? '   ' : '│  '}`;
  const hang = children.length > 0 ? '│  ' : '   ';
  return [
    `${lead}${isLast ? '└─ ' : '├─ '}${text}`,
    ...more.map((line) => `${below}${hang}${line}`),
    ...children.flatMap((child, k) => draw(child, below, k === children.length - 1)),
  ];
}

const leaf = (text: string, more: readonly string[] = []): Node => ({
  text: safe(text),
  more: more.map(safe),
  children: [],
});

function routingNode(stage: RoutingStage, { colours }: TextOptions): Node {
  return { ...leaf(''), text: `${colours.bold('routing')}: ${safe(routingSentence(stage))}` };
}

function hookNode(stage: HookStage, ttl: number | undefined, options: TextOptions): Node {
  const changed = ttl !== undefined && ttl !== stage.packet.ttl ? [`TTL ${ttl} -> ${stage.packet.ttl}`] : [];
  const children = stage.steps.flatMap((step) => stepNode(step, stage.hook, options));
  const more = children.length === 0 ? [...changed, 'no table has anything here'] : changed;
  return { text: options.colours.bold(safe(hookSentence(stage))), more, children };
}

function stepNode(step: Step, hook: string, options: TextOptions): Node[] {
  switch (step.kind) {
    case 'conntrack':
      return [leaf(`conntrack: ${trackSentence(step)}`)];
    case 'table':
      return [{ text: `${step.table} ${hook}`, more: [], children: chainNodes(step.walk, options) }];
    case 'nat': {
      const result = leaf(natSentence(step), step.change === undefined ? [] : beforeAndAfter(step.change));
      if (step.walk === undefined) return [{ ...result, text: `nat: ${result.text}` }];
      return [{ text: `nat ${hook}`, more: [], children: [...chainNodes(step.walk, options), result] }];
    }
    case 'confirm':
      if (!step.passed) return [leaf('conntrack: its connection cannot be confirmed, the packet is dropped')];
      return step.confirmed ? [leaf('conntrack: the connection is confirmed')] : [];
  }
}

function beforeAndAfter({ before, after }: Change): string[] {
  return [`before  ${withFlags(before)}`, `after   ${withFlags(after)}`];
}

function chainNodes(visit: ChainVisit, options: TextOptions, caller?: string): Node[] {
  const nodes: Node[] = [];
  for (const run of runsOf(visit.rules, options.all)) {
    const [first] = run;
    if (first === undefined) continue;
    nodes.push(run.length === 1 ? ruleNode(first, visit, options, caller) : foldedNode(run, options));
  }
  if (visit.end === 'policy')
    nodes.push(leaf(`policy ${visit.policy ?? ''}${visit.policy === 'DROP' ? ': dropped' : ''}`));
  else if (visit.end === 'return' && visit.rules.at(-1)?.target !== 'RETURN' && caller !== undefined)
    nodes.push(leaf(visit.rules.length === 0 ? 'no rules: back' : `end of the chain: back to ${caller}`));
  return nodes;
}

/** Rules one by one, but those in long runs that do not match together. */
function runsOf(rules: readonly RuleVisit[], all: boolean): RuleVisit[][] {
  const runs: RuleVisit[][] = [];
  let idle: RuleVisit[] = [];
  const close = (): void => {
    if (idle.length > FEW && !all) runs.push(idle);
    else for (const rule of idle) runs.push([rule]);
    idle = [];
  };
  for (const rule of rules) {
    if (!rule.matched && !rule.drops) {
      idle.push(rule);
      continue;
    }
    close();
    runs.push([rule]);
  }
  close();
  return runs;
}

function foldedNode(rules: readonly RuleVisit[], { colours }: TextOptions): Node {
  const counts = new Map<string, number>();
  for (const { why } of rules) {
    const condition = why?.condition ?? 'unknown';
    counts.set(condition, (counts.get(condition) ?? 0) + 1);
  }
  const ranking = [...counts].sort((a, b) => b[1] - a[1]).map(([condition]) => condition);
  const others = ranking.length > MOST_CONDITIONS ? ', ...' : '';
  const conditions = ranking.slice(0, MOST_CONDITIONS).join(', ') + others;
  const numbers = `${rules[0]?.number ?? ''}-${rules.at(-1)?.number ?? ''}`;
  const text = `… ${grouped(rules.length)} rules do not match, ${numbers} (${conditions})`;
  return { ...leaf(''), text: colours.dim(safe(text)) };
}

function ruleNode(rule: RuleVisit, visit: ChainVisit, options: TextOptions, caller: string | undefined): Node {
  const { colours } = options;
  // The chain is known from where the rule stands.
  const text = `${rule.number}: ${safe(rule.text.slice(`-A ${visit.chain} `.length)) || '(every packet)'}`;
  if (!rule.matched) {
    const why = rule.why === undefined ? [] : [safe(rule.why.text)];
    const drops = rule.drops ? ['it cannot be held against the packet, which is dropped therefore'] : [];
    return { text: colours.dim(`✗ ${text}`), more: [...why, ...drops].map(colours.dim), children: [] };
  }
  const more: string[] = [];
  if (rule.target === undefined) more.push('counted only');
  if (rule.target === 'RETURN') more.push(caller === undefined ? 'on to the policy' : `back to ${safe(caller)}`);
  if (rule.change !== undefined) more.push(...changesOf(rule.change).map(safe));
  const children =
    rule.jump === undefined ? [] : chainNodes(rule.jump, options, rule.isGoto ? (caller ?? 'the policy') : visit.chain);
  return { text: colours.green(`✓ ${text}`), more, children };
}
