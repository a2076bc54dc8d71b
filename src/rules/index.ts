/** Rules: iptables-save text in, rules out; canonical text and listings back. */
export type * from './context.js';
export type * from './extension.js';
export { MATCHES, TARGETS } from './extensions/index.js';
export { familyOf, type ParseOptions, parseRules } from './parse.js';
export { isBuiltin, TABLE_CHAINS, TABLE_NAMES } from './tables.js';
export type * from './types.js';
