/** `-j TRACE`: asks the kernel to log the packet's way; changes nothing. */
import type { TargetExtension } from '../extension.js';

export const trace: TargetExtension<undefined> = {
  kind: 'target',
  name: 'TRACE',
  summary: "logs the packet's way through the tables",
  families: [4, 6],
  tables: ['raw'],
  options: [],
  parse: () => undefined,
  print: () => '',
  list: () => '',
  compile: () => ({ kind: 'effect', logs: { target: 'TRACE' }, apply() {} }),
};
