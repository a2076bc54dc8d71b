/** Measuring: interface counters and service times. */
export { type CounterRow, InterfaceCounterTable } from './counters.js';
export { PacketSampler, ServiceTimeRecorder } from './servicetime.js';
