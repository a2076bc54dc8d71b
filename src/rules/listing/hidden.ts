/**
 * A listing without `-v` does not show interfaces. Rules that mean something else than they seem to, or nothing at all,
 * are those that would leave others without a packet if they stood as they are shown: of these one can say what is
 * probably missing.
 */
import { formatAddress } from '../../host/address.js';
import type { AddressMatch, Rule, Ruleset, Table, TableName } from '../types.js';
import { formatNetwork, inNetwork } from '../values/addresses.js';
import type { RuleRemark, RulesWarning } from './warning.js';

/** Pairs of rules that are looked at in a chain; one of ten thousand rules has no such riddle in its middle. */
const MOST_PAIRS = 200_000;

/** `bare`: `table:chain` of the chains listed without interfaces. */
export function hiddenInterfaces(ruleset: Ruleset, bare: ReadonlySet<string>): RulesWarning[] {
  const { file } = ruleset;
  const warnings: RulesWarning[] = [];
  for (const table of ruleset.tables.values()) {
    const chains = [...table.chains.values()].filter(({ name }) => bare.has(`${table.name}:${name}`));
    const count = chains.reduce((sum, { rules }) => sum + rules.length, 0);
    if (count === 0) continue;
    warnings.push(general(table.name, count, file, ruleset));
    for (const { rules } of chains)
      for (const remark of remarksOn(rules, table, ruleset)) warnings.push(warn(remark, file));
  }
  return warnings;
}

function general(table: TableName, count: number, file: string, { family }: Ruleset): RulesWarning {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  const rules = count === 1 ? 'its rule' : `any of the ${count} rules`;
  return {
    code: 'LISTING_WITHOUT_INTERFACES',
    file,
    what: `a listing of table ${table} without -v does not show interfaces (-i, -o), by which ${rules} may be narrower than it looks; taken as listed`,
    advice: `"${tool} -t ${table} -L -n -v" shows them, or better "${tool}-save -c"`,
    rules: [],
  };
}

interface Remark {
  readonly rule: Rule;
  readonly hidden: readonly Rule[];
  readonly probably: string | undefined;
  readonly reason: 'ends' | 'contains' | 'published';
}

function remarksOn(rules: readonly Rule[], table: Table, ruleset: Ruleset): Remark[] {
  const remarks: Remark[] = [];
  let pairs = 0;
  for (const [i, rule] of rules.entries()) {
    if (pairs > MOST_PAIRS) break;
    if (!isTerminal(rule) || rule.matches.length > 0) continue;
    const rest = rules.slice(i + 1);
    pairs += rest.length;
    const hidden = rest.filter((other) => contains(rule, other));
    if (hidden.length === 0) continue;
    const reason = isUnconditional(rule) ? 'ends' : 'contains';
    const probably = guess(rule, hidden, table, ruleset);
    remarks.push({ rule, hidden, probably, reason });
    if (rule.target?.kind === 'verdict' && rule.target.verdict === 'RETURN' && probably !== undefined)
      remarks.push(...published(hidden, probably));
    // Behind this one everything is hidden, and nothing more can be said.
    if (reason === 'ends') break;
  }
  return remarks;
}

/** Docker's DNAT rules behind its RETURN have the same interface, negated. */
function published(hidden: readonly Rule[], probably: string): Remark[] {
  return hidden
    .filter(({ target }) => target?.kind === 'extension' && target.extension.name === 'DNAT')
    .map((rule) => ({ rule, hidden: [], probably: `! ${probably}`, reason: 'published' }));
}

const ENDING: readonly string[] = ['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP', 'REJECT'];

function isTerminal({ target, unsupported }: Rule): boolean {
  if (target === undefined || unsupported) return false;
  return target.kind === 'verdict' || (target.kind === 'extension' && ENDING.includes(target.extension.name));
}

function isUnconditional({ source, destination, protocol, fragment, matches }: Rule): boolean {
  return (source ?? destination ?? protocol ?? fragment) === undefined && matches.length === 0;
}

/** Whether every packet that `inner` is for is one for `outer`, as far as the listing shows; `outer` has no matches. */
function contains(outer: Rule, inner: Rule): boolean {
  if (outer.fragment !== undefined) return false;
  const { protocol } = outer;
  if (protocol !== undefined && (protocol.negated || inner.protocol?.negated !== false)) return false;
  if (protocol !== undefined && protocol.number !== inner.protocol?.number) return false;
  return within(inner.source, outer.source) && within(inner.destination, outer.destination);
}

function within(inner: AddressMatch | undefined, outer: AddressMatch | undefined): boolean {
  if (outer === undefined) return true;
  if (inner === undefined) return false;
  if (outer.negated || inner.negated)
    return outer.negated === inner.negated && same(outer.address, inner.address) && same(outer.mask, inner.mask);
  return outer.mask.every((word, i) => (word & ~(inner.mask[i] ?? 0)) === 0) && inNetwork(inner.address, outer);
}

function same(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((word, i) => word === b[i]);
}

function guess(rule: Rule, hidden: readonly Rule[], table: Table, ruleset: Ruleset): string | undefined {
  const { target, source } = rule;
  if (target?.kind === 'extension' && target.extension.name === 'MASQUERADE') {
    return source === undefined ? undefined : `! -o ${bridgeOf(formatNetwork(ruleset.family, source))}`;
  }
  if (target?.kind !== 'verdict' || !isUnconditional(rule)) return undefined;
  if (target.verdict === 'RETURN' && table.name === 'nat') {
    const network = hidden.map(destinationOf).find((address) => address !== undefined);
    const masqueraded = network === undefined ? undefined : masqueradedNetwork(network, table);
    if (masqueraded !== undefined) return `-i ${bridgeOf(formatNetwork(ruleset.family, masqueraded))}`;
    return rule.chain === 'DOCKER' ? '-i docker0' : undefined;
  }
  if (target.verdict !== 'ACCEPT') return undefined;
  if (rule.chain === 'INPUT') return '-i lo';
  return rule.chain === 'OUTPUT' ? '-o lo' : undefined;
}

/** Where a DNAT rule leads. */
function destinationOf({ target }: Rule): Uint32Array | undefined {
  if (target?.kind !== 'extension' || target.extension.name !== 'DNAT') return undefined;
  const { options } = target;
  const address =
    typeof options === 'object' && options !== null && 'minAddress' in options ? options.minAddress : undefined;
  return address instanceof Uint32Array ? address : undefined;
}

/** The network with that address which POSTROUTING masquerades. */
function masqueradedNetwork(address: Uint32Array, table: Table): AddressMatch | undefined {
  for (const { source, target } of table.chains.get('POSTROUTING')?.rules ?? []) {
    if (target?.kind !== 'extension' || target.extension.name !== 'MASQUERADE' || source === undefined) continue;
    const single =
      source.mask[0] === 0xffffffff &&
      (source.mask[1] === 0xffffffff || formatAddress(4, source.mask) === '255.255.255.255');
    if (!single && !source.negated && inNetwork(address, source)) return source;
  }
  return undefined;
}

/** Docker's own network is behind docker0; those that users make have bridges named after an id. */
function bridgeOf(network: string): string {
  return network === '172.17.0.0/16' ? 'docker0' : `br-... (the bridge of ${network})`;
}

function warn({ rule, hidden, probably, reason }: Remark, file: string): RulesWarning {
  const [first] = hidden;
  const name = `${nameOf(rule)} (${shortText(rule)})`;
  const what =
    first === undefined ? `${name} goes with the rule before it` : `${name} ${seems(reason, first, hidden.length)}`;
  return {
    code: 'LISTING_INTERFACE_MISSING',
    file,
    line: rule.line,
    what,
    advice: `it probably has ${probably ?? 'an interface'}`,
    rules: [remark(rule, hidden, probably)],
  };
}

function seems(reason: Remark['reason'], first: Rule, count: number): string {
  const others = count > 1 ? ` and ${count - 1} more` : '';
  const hidden = `${nameOf(first)} (${shortText(first)})`;
  if (reason === 'ends') return `looks as if it held for every packet, so that ${hidden}${others} could never match`;
  return `looks as if it took every packet of ${hidden}${others}, which would be redundant then`;
}

function remark(rule: Rule, hidden: readonly Rule[], probably: string | undefined): RuleRemark {
  const { table, chain, number, line } = rule;
  return {
    ...{ table, chain, number, line, text: rule.text.replace(/ {2,}/g, ' '), probably },
    hides: hidden.map((other) => ({ table: other.table, chain: other.chain, number: other.number })),
  };
}

function nameOf({ table, chain, number }: Rule): string {
  return `${table}:${chain}:${number}`;
}

/** As it stands in the listing, blanks squeezed. */
function shortText(rule: Rule): string {
  const text = rule.text.replace(/\s+/g, ' ');
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}
