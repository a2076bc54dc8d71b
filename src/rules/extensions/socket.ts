/**
 * `-m socket`: an open socket that the packet belongs to (kernel: net/netfilter/xt_socket.c). The sockets of the host are not
 * known: it answers as one that has none.
 */
import type { MatchExtension } from '../extension.js';
import { flag } from './support.js';

const FLAGS = ['--transparent', '--nowildcard', '--restore-skmark'];

export const socket: MatchExtension<readonly string[]> = {
  kind: 'match',
  name: 'socket',
  summary: 'an open socket: never, the host is taken to have none',
  families: [4, 6],
  hooks: ['PREROUTING', 'INPUT'],
  options: FLAGS.map((name) => flag(false, name)),
  parse: (options) => FLAGS.filter((name) => options.some((found) => found.name === name)),
  print: (flags) => flags.map((name) => ` ${name}`).join(''),
  list: (flags) => `socket${flags.map((name) => ` ${name}`).join('')}`,
  compile: () => () => false,
};
