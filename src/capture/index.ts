/** Captures in and out. */
export { linkTypeName } from './linktypes.js';
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
export { type CaptureWriterOptions, createCaptureWriter, formatOfPath } from './write/writer.js';
