/**
 * natreplay as a library.
 *
 * Load a host (`hostFromFile`, `hostFromOptions`) and rules (`parseRules`), then feed packets to a `Replayer`, or captures
 * to `replay`. Everything that fails throws a NatreplayError with a stable `code`.
 */
export type { CaptureInterface, CaptureWarning, WrittenFile } from './capture/types.js';
export { type ErrorDetails, NatreplayError, type Place } from './errors.js';
export { hostFromFile } from './host/hostfile.js';
export { type HostOptions, hostFromOptions, statedHost } from './host/hostoptions.js';
export type { Family, Host, HostInterface, InterfaceAddress, Route, RouteType } from './host/types.js';
export type { Engine } from './netfilter/engine.js';
export type { ChecksumMode } from './packet/parse.js';
export { type CaptureInput, type Replay, type ReplayOptions, replay } from './pipeline/replay.js';
export {
  type HostAnswerFrame,
  Replayer,
  type ReplayerOptions,
  type ReplayerPacket,
  type ReplayerResult,
} from './pipeline/replayer.js';
export { conntrackText } from './report/conntrack.js';
export { jsonReport } from './report/json.js';
export type { ConnectionEntry, PacketLogEntry, ReplayResult, Verdict } from './report/types.js';
export { familyOf, type ParseOptions, parseRules } from './rules/parse.js';
export { printRules } from './rules/print.js';
export type { Ruleset, TableName } from './rules/types.js';
