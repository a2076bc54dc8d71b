/** Captures in and out. */
export { linkTypeName } from './linktypes.js';
export { mergeCaptures } from './merge.js';
export { type OpenCaptureOptions, openCapture } from './reader.js';
export {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  DIRECTION_UNKNOWN,
  RecordColumns,
  Slab,
  type SlabLayout,
} from './slab.js';
export * from './types.js';
export { assertDistinct } from './write/distinct.js';
export { type CaptureWriterOptions, formatOfPath, type WriterSource } from './write/output-file.js';
export { createCaptureWriter } from './write/writer.js';
