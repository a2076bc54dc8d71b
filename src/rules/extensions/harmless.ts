/** Targets that change nothing of a packet that a capture shows: CHECKSUM, AUDIT, CLASSIFY. */
import type { TargetExtension } from '../extension.js';
import { argument, find, flag, option, requireOne } from './support.js';

/** Fills in checksums that were left to the hardware; a captured packet has had its own filled in. */
export const checksum: TargetExtension<undefined> = {
  kind: 'target',
  name: 'CHECKSUM',
  summary: 'fills in checksums left to the hardware',
  families: [4, 6],
  tables: ['mangle'],
  options: [flag(false, '--checksum-fill')],
  parse(options, context) {
    requireOne(options, 'CHECKSUM', context, '--checksum-fill');
    return undefined;
  },
  print: () => ' --checksum-fill',
  list: () => 'CHECKSUM fill',
  compile: () => ({ kind: 'effect', apply() {} }),
};

/** Writes a record for the audit daemon. */
export const audit: TargetExtension<string> = {
  kind: 'target',
  name: 'AUDIT',
  summary: 'writes an audit record',
  families: [4, 6],
  options: [option(false, '--type')],
  parse(options, context) {
    requireOne(options, 'AUDIT', context, '--type');
    const token = find(options, '--type')?.args[0];
    const type = token?.text.toLowerCase() ?? '';
    if (['accept', 'drop', 'reject'].includes(type)) return type;
    return context.fail('RULES_BAD_AUDIT_TYPE', `"${type}" is not an audit type`, token, 'accept, drop or reject');
  },
  print: (type) => ` --type ${type}`,
  list: (type) => `AUDIT ${type}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};

export interface TrafficClass {
  readonly major: number;
  readonly minor: number;
}

/** Chooses the queue a packet waits in. */
export const classify: TargetExtension<TrafficClass> = {
  kind: 'target',
  name: 'CLASSIFY',
  summary: 'chooses the queue of the packet',
  families: [4, 6],
  hooks: ['FORWARD', 'OUTPUT', 'POSTROUTING'],
  options: [option(false, '--set-class')],
  parse(options, context) {
    requireOne(options, 'CLASSIFY', context, '--set-class');
    const found = find(options, '--set-class');
    const text = found === undefined ? '' : argument(found).text;
    const match = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(text);
    if (match === null) {
      return context.fail(
        'RULES_BAD_CLASS',
        `"${text}" is not a class`,
        found?.args[0],
        'write MAJOR:MINOR in hexadecimal',
      );
    }
    return { major: Number.parseInt(match[1] ?? '', 16), minor: Number.parseInt(match[2] ?? '', 16) };
  },
  print({ major, minor }) {
    return ` --set-class ${major.toString(16).padStart(4, '0')}:${minor.toString(16).padStart(4, '0')}`;
  },
  list({ major, minor }) {
    return `CLASSIFY set ${major.toString(16)}:${minor.toString(16)}`;
  },
  compile: () => ({ kind: 'effect', apply() {} }),
};
