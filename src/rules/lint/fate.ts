/** What becomes of packets in a chain, as far as it can be told from the rules. */
import { common, commonRegion, type Region, type Universe, withoutAll } from '../meaning/box.js';
import { drops, effectOf } from '../meaning/effect.js';
import { type Reach, steadyPart } from '../meaning/reach.js';
import type { Rule } from '../types.js';

/** Boxes followed at once; rules asked in all. */
const MOST = 64;
const STEPS = 50_000;

/** Why none of the packets gets through: the rules that drop some of them; the policy the rest. */
export interface Refusal {
  readonly rules: readonly Rule[];
  readonly policy: boolean;
}

interface Walk {
  readonly universe: Universe;
  readonly rules: Rule[];
  steps: number;
}

interface Outcome {
  /** Some may be accepted. */
  readonly accepted: boolean;
  /** May come back to who jumped. */
  readonly returned: Region;
}

/** Undefined: some of the packets of `region` may be accepted. Otherwise all of them are dropped for certain. */
export function refusal(reach: Reach, chain: string, region: Region, universe: Universe): Refusal | undefined {
  const walk: Walk = { universe, rules: [], steps: 0 };
  const { accepted, returned } = follow(reach, chain, region, walk);
  const policy = returned.length > 0;
  if (accepted || (policy && reach.table.chains.get(chain)?.policy !== 'DROP')) return undefined;
  return { rules: [...new Set(walk.rules)], policy };
}

function follow(reach: Reach, name: string, region: Region, walk: Walk): Outcome {
  const returned: Region[number][] = [];
  let rest = region;
  for (const rule of reach.table.chains.get(name)?.rules ?? []) {
    if (rest.length === 0) break;
    // What is not known may accept it; and there is an end to everything.
    if (rule.unsupported || ++walk.steps > STEPS) return { accepted: true, returned };
    const condition = reach.conditions.get(rule);
    const upper = condition?.upper;
    if (condition === undefined || upper === undefined) continue;
    const matching = commonRegion(rest, upper);
    if (matching.length === 0) continue;
    const effect = effectOf(rule);
    if (effect === 'goes on') continue;
    if (effect === 'verdict') {
      if (!drops(rule)) return { accepted: true, returned };
      walk.rules.push(rule);
    } else if (effect === 'leaves') returned.push(...matching);
    const lower = steadyPart(condition.lower, reach.stability);
    const behind = lower === undefined ? rest : (withoutAll(rest, [lower], walk.universe, MOST) ?? rest);
    if (effect === 'jump' || effect === 'goto') {
      const target = rule.target !== undefined && 'chain' in rule.target ? rule.target.chain : '';
      const outcome = follow(reach, target, matching, walk);
      if (outcome.accepted) return { accepted: true, returned };
      if (effect === 'goto') returned.push(...outcome.returned);
      // What comes back goes on with the next rule; without knowing what surely went, all may be there yet.
      rest = effect === 'goto' || lower === undefined ? behind : [...behind, ...outcome.returned];
    } else rest = behind;
    if (rest.length > MOST || returned.length > MOST) return { accepted: true, returned };
  }
  return { accepted: false, returned: [...returned, ...rest] };
}

/** Whether some packet may be in both. */
export function overlaps(region: Region, other: Region): boolean {
  return region.some((a) => other.some((b) => common(a, b) !== undefined));
}
