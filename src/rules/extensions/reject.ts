/** `-j REJECT`: drops and tells the sender (kernel: ipt_REJECT.c, ip6t_REJECT.c). */
import type { Family } from '../../host/types.js';
import type { TargetExtension } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { argument, find, option } from './support.js';

const TCP = 6;

/** Name and short form. */
const TYPES: Readonly<Record<Family, readonly (readonly [string, string])[]>> = {
  4: [
    ['icmp-net-unreachable', 'net-unreach'],
    ['icmp-host-unreachable', 'host-unreach'],
    ['icmp-port-unreachable', 'port-unreach'],
    ['icmp-proto-unreachable', 'proto-unreach'],
    ['icmp-net-prohibited', 'net-prohib'],
    ['icmp-host-prohibited', 'host-prohib'],
    ['tcp-reset', 'tcp-rst'],
    ['icmp-admin-prohibited', 'admin-prohib'],
  ],
  6: [
    ['icmp6-no-route', 'no-route'],
    ['icmp6-adm-prohibited', 'adm-prohibited'],
    ['icmp6-addr-unreachable', 'addr-unreach'],
    ['icmp6-port-unreachable', 'port-unreach'],
    ['tcp-reset', 'tcp-rst'],
    ['icmp6-policy-fail', 'policy-fail'],
    ['icmp6-reject-route', 'reject-route'],
  ],
};

export const reject: TargetExtension<string> = {
  kind: 'target',
  name: 'REJECT',
  summary: 'drops the packet and tells its sender',
  families: [4, 6],
  tables: ['filter'],
  hooks: ['INPUT', 'FORWARD', 'OUTPUT'],
  options: [option(false, '--reject-with')],
  parse(options, context) {
    const found = find(options, '--reject-with');
    if (found === undefined) return context.family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
    const token = argument(found);
    const word = token.text.toLowerCase();
    const types = TYPES[context.family];
    const type = types.find((names) => word !== '' && names.some((name) => name.startsWith(word)))?.[0];
    if (type === undefined) {
      const names = types.map(([name]) => name);
      const advice = didYouMean(token.text, names, names.join(', '));
      return context.fail('RULES_BAD_REJECT_TYPE', `"${token.text}" is nothing to reject with`, token, advice);
    }
    if (type === 'tcp-reset' && (context.protocol !== TCP || context.protocolNegated)) {
      context.fail('RULES_WRONG_PROTOCOL', 'tcp-reset needs -p tcp', token, 'add -p tcp to the rule');
    }
    return type;
  },
  print(type) {
    return ` --reject-with ${type}`;
  },
  list(type) {
    return `reject-with ${type}`;
  },
  compile(type) {
    return { kind: 'reject', with: type };
  },
};
