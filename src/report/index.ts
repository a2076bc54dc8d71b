/** Reports: what people and programs read after a run. */
export { conntrackLine, conntrackText } from './conntrack.js';
export { openTextSink, TextSink, writeTextFile } from './files.js';
export { type JsonReport, jsonReport, jsonReportSchema, jsonReportText } from './json.js';
export { PacketLogFormatter, packetLogLine, timestampText } from './packetlog.js';
export { createProgress, type Progress, type ProgressOptions } from './progress.js';
export { type TerminalOptions, terminalReport } from './terminal.js';
export { connectionTuple, protocolName, tupleText } from './tupletext.js';
export type * from './types.js';
