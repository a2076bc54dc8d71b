/** The rules through the iptables of this machine: it takes them, and prints them as they stand. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseRules, printRules } from '../../../src/rules/index.js';
import { needs } from '../../support/requirements.js';
import { type DockerCase, rulesOf } from './cases.js';

const FLAVOURS = ['legacy', 'nft'] as const;
const { skip, reason } = needs({
  root: true,
  commands: [
    'unshare',
    ...FLAVOURS.flatMap((flavour) => [`iptables-${flavour}-restore`, `ip6tables-${flavour}-restore`]),
  ],
});

const PORTS = [
  'web@front',
  '-p 80:80',
  '-p 127.0.0.1:53:53/udp',
  '-p [::1]:81:81',
  '-p 9899:9899/sctp',
  'db@back',
  '-p 1:1',
];
const NETWORKS = [
  'front=10.1.0.0/24,fd00:1::/64,bridge=br-front,icc=false',
  'back=10.2.0.0/24,fd00:2::/64,bridge=br-back,internal',
];
const CASES: readonly (readonly [string, DockerCase])[] = [
  ['the origin story', { style: 'classic', words: ['app=172.17.0.3', '-p 8799:1337', 'web=172.17.0.4', '-p 80:80'] }],
  ['classic, several networks', { style: 'classic', words: PORTS, networks: NETWORKS }],
  ['classic without docker-proxy', { style: 'classic', words: PORTS, networks: NETWORKS, userlandProxy: false }],
  ['28, several networks', { style: '28', words: PORTS, networks: NETWORKS }],
  ['28 without docker-proxy', { style: '28', words: PORTS, networks: NETWORKS, userlandProxy: false }],
  [
    '28, routed',
    { style: '28', words: PORTS, networks: [`${NETWORKS[0]},gateway-mode=routed,snat=192.0.2.7`, `${NETWORKS[1]}`] },
  ],
];

const cases = CASES.flatMap(([name, one]) =>
  ([4, 6] as const).map((family) => [`${name}, IPv${family}`, one, family] as const),
);

describe("Docker's rules are as iptables prints them", () => {
  it.each(cases)('%s: by natreplay', (_, one, family) => {
    const text = rulesOf(one, family);
    expect(printRules(parseRules(text, { file: 'docker', family, unsupported: 'stop' }))).toBe(text);
  });

  describe.skipIf(skip)(`by the kernel${skip ? ` (${reason})` : ''}`, () => {
    it.each(
      cases.flatMap(([name, one, family]) =>
        FLAVOURS.map((flavour) => [`${name}, ${flavour}`, one, family, flavour] as const),
      ),
    )('%s', (_, one, family, flavour) => {
      const text = rulesOf(one, family);
      const tables = [...text.matchAll(/^\*(\w+)$/gm)].map(([, table]) => table);
      const command = `${family === 4 ? 'iptables' : 'ip6tables'}-${flavour}`;
      const script = [`${command}-restore`, ...tables.map((table) => `${command}-save -t ${table}`)].join(' && ');
      const { stdout, stderr, status } = spawnSync('unshare', ['--net', 'sh', '-c', script], {
        input: text,
        encoding: 'utf8',
      });
      expect({ status, stderr: stderr.replace(/^# Warning.*\n/gm, '') }).toEqual({ status: 0, stderr: '' });
      expect(stdout.replace(/^#.*\n/gm, '')).toBe(text);
    });
  });
});
