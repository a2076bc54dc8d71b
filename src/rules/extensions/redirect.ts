/** `-j REDIRECT`: to the host itself (kernel: net/netfilter/nf_nat_redirect.c). */
import { redirectAddress } from '../../host/sourceaddress.js';
import { NO_INTERFACE } from '../../host/types.js';
import type { TargetExtension } from '../extension.js';
import {
  formatPortPart,
  natFlags,
  type PortNatOptions,
  parsePortPart,
  requireMappableProtocol,
} from '../values/nat-range.js';
import { rangesByAddress } from './masquerade.js';
import { argument, find, flag, option } from './support.js';

export const redirect: TargetExtension<PortNatOptions> = {
  kind: 'target',
  name: 'REDIRECT',
  summary: 'translates the destination to the host itself',
  families: [4, 6],
  tables: ['nat'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [option(false, '--to-ports'), flag(false, '--random')],
  parse(options, context) {
    const found = find(options, '--to-ports');
    const token = found === undefined ? undefined : argument(found);
    if (token !== undefined) requireMappableProtocol(context, token);
    const ports = token === undefined ? undefined : parsePortPart(token.text, token, context, false);
    return { ports, random: natFlags(options).random, randomFully: false };
  },
  print({ ports, random }) {
    const text = ports === undefined ? '' : ` --to-ports ${formatPortPart(ports.min, ports.max)}`;
    return random ? `${text} --random` : text;
  },
  list({ ports, random }) {
    const words: string[] = [];
    if (ports !== undefined) words.push(`redir ports ${formatPortPart(ports.min, ports.max)}`);
    if (random) words.push('random');
    return words.join(' ');
  },
  compile(options, { host, family }) {
    const rangeOf = rangesByAddress(options);
    return {
      kind: 'nat',
      manipulation: 'dst',
      range(packet) {
        const local = packet.hook === 'OUTPUT';
        if (!local && packet.inInterface === NO_INTERFACE) return undefined;
        return rangeOf(redirectAddress(host, family, local ? NO_INTERFACE : packet.inInterface, packet.destination));
      },
    };
  },
};
