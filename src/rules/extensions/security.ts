/** `-j SECMARK` and `-j CONNSECMARK`: labels for SELinux, which no capture shows (kernel: xt_SECMARK.c, xt_CONNSECMARK.c). */
import type { TargetExtension } from '../extension.js';
import { exclusive, find, flag, has, option, requireOne } from './support.js';

export const secmark: TargetExtension<string> = {
  kind: 'target',
  name: 'SECMARK',
  summary: "labels packets for SELinux; the packet's bytes stay",
  families: [4, 6],
  tables: ['mangle', 'security'],
  options: [option(false, '--selctx')],
  parse(options, context) {
    requireOne(options, 'SECMARK', context, '--selctx');
    const token = find(options, '--selctx')?.args[0];
    if (token === undefined || token.text === '' || token.text.length > 255)
      return context.fail(
        'RULES_BAD_NAME',
        'a security context has 1 to 255 characters',
        token,
        'write it like system_u:object_r:httpd_packet_t:s0',
      );
    return token.text;
  },
  print: (label) => ` --selctx ${label}`,
  list: (label) => `SECMARK selctx ${label}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};

export const connsecmark: TargetExtension<'save' | 'restore'> = {
  kind: 'target',
  name: 'CONNSECMARK',
  summary: "copies SELinux labels between packet and connection; the packet's bytes stay",
  families: [4, 6],
  tables: ['mangle', 'security'],
  options: [flag(false, '--save'), flag(false, '--restore')],
  parse(options, context) {
    requireOne(options, 'CONNSECMARK', context, '--save', '--restore');
    exclusive(options, context, '--save', '--restore');
    return has(options, '--save') ? 'save' : 'restore';
  },
  print: (what) => ` --${what}`,
  list: (what) => `CONNSECMARK ${what}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};
