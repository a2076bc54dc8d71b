/** `-j SET`: puts packets into ipsets, takes them out, or takes marks from them (kernel: net/netfilter/xt_set.c). */
import type { ParsedOption, TargetExtension } from '../extension.js';
import type { SkbInfo } from '../ipset/set.js';
import { parseUnsigned } from '../values/numbers.js';
import { findSet, formatSetReference, parseSetReference, type SetReference } from '../values/setnames.js';
import { argument, find, flag, has, option } from './support.js';

export interface SetTargetOptions {
  readonly add: SetReference | undefined;
  readonly exist: boolean;
  /** Seconds. */
  readonly timeout: number | undefined;
  readonly remove: SetReference | undefined;
  readonly map: SetReference | undefined;
  readonly mapMark: boolean;
  readonly mapPriority: boolean;
  readonly mapQueue: boolean;
}

const MAX_TIMEOUT = 0xfffffffe;
/** The kernel keeps no longer ones (UINT_MAX / MSEC_PER_SEC). */
const LONGEST = 4294967;
const MAPS = ['--map-mark', '--map-prio', '--map-queue'];

function words(options: SetTargetOptions, lead: string): string {
  const text: string[] = [];
  const { add, timeout, remove, map } = options;
  if (add !== undefined) text.push(`${lead}add-set ${formatSetReference(add)}`);
  if (options.exist) text.push(`${lead}exist`);
  if (timeout !== undefined) text.push(`${lead}timeout ${timeout}`);
  if (remove !== undefined) text.push(`${lead}del-set ${formatSetReference(remove)}`);
  if (map !== undefined) text.push(`${lead}map-set ${formatSetReference(map)}`);
  if (options.mapMark) text.push(`${lead}map-mark`);
  if (options.mapPriority) text.push(`${lead}map-prio`);
  if (options.mapQueue) text.push(`${lead}map-queue`);
  return text.join(' ');
}

export const setTarget: TargetExtension<SetTargetOptions> = {
  kind: 'target',
  name: 'SET',
  summary: 'puts packets into an ipset, takes them out of it, or takes their mark from it',
  families: [4, 6],
  options: [
    { names: ['--add-set'], args: 2, negatable: true },
    { names: ['--del-set'], args: 2, negatable: true },
    { names: ['--map-set'], args: 2, negatable: true },
    flag(false, '--exist'),
    option(false, '--timeout'),
    flag(false, '--map-mark'),
    flag(false, '--map-prio'),
    flag(false, '--map-queue'),
  ],
  parse(options, context) {
    const reference = (found: ParsedOption | undefined) => found && parseSetReference(found, context);
    const add = reference(find(options, '--add-set'));
    const remove = reference(find(options, '--del-set'));
    const mapping = find(options, '--map-set');
    const map = reference(mapping);
    if (add === undefined && remove === undefined && map === undefined) {
      context.fail('RULES_MISSING_OPTION', 'SET needs --add-set, --del-set or --map-set', undefined, 'add one of them');
    }
    const stray = options.find(({ name }) =>
      name === '--exist' || name === '--timeout' ? add === undefined : MAPS.includes(name) && map === undefined,
    );
    if (stray !== undefined) {
      const owner = MAPS.includes(stray.name) ? '--map-set' : '--add-set';
      context.fail('RULES_OPTIONS_EXCLUDE', `${stray.name} is for ${owner}`, stray.token, `add ${owner} NAME src`);
    }
    if (mapping !== undefined && !MAPS.some((name) => has(options, name))) {
      context.fail(
        'RULES_MISSING_OPTION',
        '--map-set needs --map-mark, --map-prio or --map-queue',
        mapping.token,
        'add --map-mark',
      );
    }
    if (mapping !== undefined && context.table !== 'mangle') {
      context.fail('RULES_WRONG_TABLE', '--map-set is not allowed here', mapping.token, 'it works in table mangle');
    }
    const found = find(options, '--timeout');
    const timeout = found && parseUnsigned(argument(found).text, MAX_TIMEOUT);
    if (found !== undefined && timeout === undefined) {
      context.fail(
        'RULES_BAD_NUMBER',
        `"${argument(found).text}" is not a number of seconds`,
        argument(found),
        'write a whole number',
      );
    }
    return {
      add,
      exist: has(options, '--exist'),
      timeout,
      remove,
      map,
      mapMark: has(options, '--map-mark'),
      mapPriority: has(options, '--map-prio'),
      mapQueue: has(options, '--map-queue'),
    };
  },
  print: (options) => ` ${words(options, '--')}`,
  list: (options) => words(options, ''),
  compile(options, context) {
    const { add, remove, map, exist, mapMark } = options;
    const timeout = options.timeout === undefined ? undefined : Math.min(options.timeout, LONGEST);
    const added = add && findSet(add, context);
    const removed = remove && findSet(remove, context);
    const mapped = map && findSet(map, context);
    const info: SkbInfo = { mark: 0, mask: 0, priority: 0, queue: 0 };
    const question = {
      dimensions: map?.dimensions ?? 0,
      directions: map?.directions ?? 0,
      returnNomatch: false,
      updateCounters: true,
      updateSubcounters: true,
      packets: undefined,
      bytes: undefined,
    };
    return {
      kind: 'effect',
      apply(packet) {
        if (add !== undefined) added?.add(packet, { ...add, exist, timeout });
        if (remove !== undefined) removed?.remove(packet, remove.dimensions, remove.directions);
        if (mapped === undefined) return;
        Object.assign(info, { mark: 0, mask: 0, priority: 0, queue: 0 });
        if (mapped.test(packet, question, info) && mapMark)
          packet.setMark(((packet.mark & ~info.mask) ^ info.mark) >>> 0);
      },
    };
  },
};
