/** Rules: iptables-save text in, rules out; canonical text and listings back. */
export type * from './context.js';
export type * from './extension.js';
export { MATCHES, TARGETS } from './extensions/index.js';
export { type ListOptions, listChains, scale } from './list.js';
export type { RuleRemark, RulesWarning } from './listing/warning.js';
export { type Reading, type ReadOptions, readRules, statedFamily } from './load.js';
export { familyOf, type ParseOptions, parseRules } from './parse.js';
export { type CountersOf, ownCounters, type PrintOptions, printCommands, printRule, printRules } from './print.js';
export { chainsInOrder, isBuiltin, isTableName, TABLE_CHAINS, TABLE_NAMES } from './tables.js';
export type * from './types.js';
