/** Policy rules held against the kernel: `ip route get` with a mark, a TOS, an ingress, ports. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAddress } from '../../src/host/address.js';
import { type Flow, type Host, NO_INTERFACE } from '../../src/host/types.js';
import { needs } from '../support/requirements.js';
import { Namespace } from './namespace.js';
import { address } from './support.js';

const { skip, reason } = needs({ root: true, commands: ['ip', 'unshare', 'nsenter'] });

const LINKS = `
  ip link set lo up
  for i in 0 1 2; do ip link add d$i type veth peer name p$i; ip link set p$i up; ip link set d$i up; done
  ip addr add 192.0.2.1/24 dev d0; ip addr add 10.1.0.1/24 dev d1; ip addr add 10.2.0.1/24 dev d2
  ip -6 addr add 2001:db8::1/64 dev d0 nodad; ip -6 addr add 2001:db8:1::1/64 dev d1 nodad
  echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  for c in all d0 d1 d2; do echo 0 > /proc/sys/net/ipv4/conf/$c/rp_filter; done
  ip route add default via 192.0.2.254
  ip route add 9.0.0.0/8 via 192.0.2.253
  ip route add 9.1.0.0/16 tos 0x10 via 192.0.2.252
  ip route add 9.2.0.0/16 via 192.0.2.251; ip route add 9.2.0.0/16 tos 0x08 via 192.0.2.250
  ip route add default via 10.1.0.9 table 100
  ip route add 9.5.0.0/16 via 10.1.0.8 table 100
  ip route add unreachable 9.6.0.0/16 table 100
  ip route add throw 9.7.0.0/16 table 100
  ip route add default via 10.2.0.9 table 200
  ip route add local 7.0.0.0/8 dev lo table 300
  ip -6 route add default via 2001:db8::fe; ip -6 route add default via 2001:db8:1::fe table 100
`;

/** Local routes and routes of main as one trie: the longest prefix of both, while there are no policy rules. */
const ONE_TRIE = `
  ip route add local 11.0.0.0/8 dev lo
  ip route add 11.1.0.0/16 via 192.0.2.254
  ip route add 127.9.0.0/16 via 192.0.2.254
`;

/** Sets of rules, each tried alone. */
const RULES: Readonly<Record<string, string>> = {
  'a mark': 'ip rule add fwmark 1 table 100',
  'a masked mark': 'ip rule add fwmark 0x10/0xf0 table 100',
  'not a mark': 'ip rule add not fwmark 1 table 100',
  'a source': 'ip rule add from 10.1.0.0/24 table 100',
  'a destination': 'ip rule add to 9.0.0.0/8 table 100',
  'an ingress': 'ip rule add iif d1 table 100',
  'what the host sends': 'ip rule add iif lo table 100',
  'an interface that is not there': 'ip rule add iif nowhere table 100; ip rule add not iif nowhere table 200',
  'a TOS': 'ip rule add tos 0x10 table 100',
  'a protocol and port': 'ip rule add ipproto udp dport 53-60 table 100',
  'a source port': 'ip rule add ipproto tcp sport 4000 table 100',
  blackhole: 'ip rule add from 10.1.0.0/24 blackhole',
  unreachable: 'ip rule add fwmark 1 unreachable',
  prohibit: 'ip rule add fwmark 1 prohibit',
  'goto over a rule': 'ip rule add pref 10 goto 30; ip rule add pref 20 blackhole; ip rule add pref 30 table 100',
  nop: 'ip rule add pref 10 nop; ip rule add pref 20 fwmark 1 table 100',
  'main without its default route, as wg-quick has it':
    'ip rule add pref 10 table main suppress_prefixlength 0; ip rule add pref 20 not fwmark 1 table 100',
  'suppressed up to /8': 'ip rule add pref 10 table main suppress_prefixlength 8; ip rule add pref 20 table 200',
  'another local table, as for TPROXY': 'ip rule add fwmark 1 table 300',
  'rules for IPv6': 'ip -6 rule add fwmark 1 table 100; ip -6 rule add from 2001:db8:1::/64 blackhole',
};

interface Question {
  readonly to: string;
  readonly from?: string;
  readonly iif?: string;
  readonly mark?: number;
  readonly tos?: number;
  readonly ports?: readonly [protocol: string, source: number, destination: number];
}

const QUESTIONS: readonly Question[] = [
  ...[
    '8.8.8.8',
    '9.9.9.9',
    '9.1.1.1',
    '9.2.1.1',
    '9.5.1.1',
    '9.6.1.1',
    '9.7.1.1',
    '7.1.1.1',
    '192.0.2.7',
    '10.2.0.1',
  ].flatMap((to): Question[] => [
    { to },
    { to, mark: 1 },
    { to, mark: 0x1f },
    { to, tos: 0x10 },
    { to, tos: 0x08 },
    { to, from: '10.1.0.1' },
    { to, from: '10.1.0.77', iif: 'd1' },
    { to, from: '10.2.0.77', iif: 'd2', mark: 1 },
    { to, ports: ['udp', 1000, 53] },
    { to, ports: ['tcp', 4000, 80] },
  ]),
  { to: '11.0.0.1' },
  { to: '11.1.0.1' },
  { to: '127.9.0.1' },
  { to: '2001:db8:9::1' },
  { to: '2001:db8:9::1', mark: 1 },
  { to: '2001:db8:9::1', from: '2001:db8:1::77', iif: 'd1' },
];

function command({ to, from, iif, mark, tos, ports }: Question): string {
  const words = ['route get', to];
  if (from !== undefined) words.push('from', from);
  if (iif !== undefined) words.push('iif', iif);
  if (mark !== undefined) words.push('mark', String(mark));
  if (tos !== undefined) words.push('tos', `0x${tos.toString(16)}`);
  if (ports !== undefined) words.push(`ipproto ${ports[0]} sport ${ports[1]} dport ${ports[2]}`);
  return words.join(' ');
}

const ERRORS: Readonly<Record<string, string>> = {
  'Invalid argument': 'blackhole',
  'No route to host': 'unreachable',
  'Permission denied': 'prohibit',
  'Network is unreachable': 'unreachable',
};

/** Errors are one: which of them it is depends on whether it is an input or an output route. */
const FAILURE = /^(blackhole|unreachable|prohibit|none).*/;

function theirs(line: string): string {
  const error = /RTNETLINK answers: (.*)/.exec(line)?.[1];
  if (error !== undefined) return ERRORS[error] === undefined ? error : 'none';
  const type = /^(local|broadcast|multicast|unreachable|prohibit|blackhole)?/.exec(line)?.[0] || 'unicast';
  if (type === 'local') return type;
  const gateway = / via (\S+)/.exec(line)?.[1];
  return `${type} ${/ dev (\S+)/.exec(line)?.[1]}${gateway === undefined ? '' : ` via ${gateway}`}`.replace(
    FAILURE,
    'none',
  );
}

/** What `ip` says to each line of a batch: successes on standard output, failures with their line's number on the other. */
function answers(namespace: Namespace, commands: readonly string[]): string[] {
  const errors = '/tmp/natreplay-policy-$$';
  const batch = `ip -force -o -batch - 2>${errors} <<'END' || true\n${commands.join('\n')}\nEND\n`;
  const [out = '', said = ''] = namespace.run(`${batch}echo ----; cat ${errors}; rm ${errors}`).split('----\n');
  const failed = new Map(
    [...said.matchAll(/(RTNETLINK answers: .*)\n(?:.*\n)*?Command failed -:(\d+)/g)].map(([, why = '', line]) => [
      Number(line),
      why,
    ]),
  );
  const lines = out.split('\n');
  return commands.map((_, i) => failed.get(i + 1) ?? lines.shift() ?? '');
}

function ours(host: Host, question: Question): string {
  const { family, words } = address(question.to);
  const source = question.from === undefined ? new Uint32Array(4) : address(question.from).words;
  const [name, sourcePort, destinationPort] = question.ports ?? ['', 0, 0];
  const flow: Flow = {
    family,
    source,
    destination: words,
    ingress: host.interfaceByName(question.iif ?? 'lo')?.index ?? NO_INTERFACE,
    egress: NO_INTERFACE,
    mark: question.mark ?? 0,
    tos: question.tos ?? 0,
    protocol: name === 'udp' ? 17 : name === 'tcp' ? 6 : 0,
    sourcePort,
    destinationPort,
  };
  const route = host.lookUp(flow);
  if (route === undefined) return 'none';
  if (route.type === 'local') return 'local';
  const gateway = route.gateway === undefined ? '' : ` via ${formatAddress(family, route.gateway)}`;
  return `${route.type} ${host.interfaces[route.iface]?.name}${gateway}`.replace(FAILURE, 'none');
}

describe.skipIf(skip)(`policy rules as the kernel follows them ${reason}`, () => {
  let namespace: Namespace;
  beforeAll(async () => {
    namespace = await Namespace.create();
    namespace.run(LINKS);
  });
  afterAll(() => namespace?.remove());

  const check = (): void => {
    const host = namespace.host();
    const lines = answers(namespace, QUESTIONS.map(command));
    expect(QUESTIONS.map((q) => `${command(q)}: ${ours(host, q)}`)).toEqual(
      QUESTIONS.map((q, i) => `${command(q)}: ${theirs(lines[i] ?? '')}`),
    );
  };

  it('needs none for TOS routes and for the one trie of local and main', () => {
    namespace.run(ONE_TRIE);
    check();
    const host = namespace.host();
    // Once a rule was added, even one that is gone again, the tables stay apart.
    namespace.run('ip route del 11.1.0.0/16; ip route del 127.9.0.0/16');
    expect(host.routingDependsOn(4)).toMatchObject({ any: true, tos: true, mark: false });
    expect(host.routingDependsOn(6).any).toBe(false);
    expect(host.checksSourcesByRoute).toBe(true);
  });

  it.each(Object.entries(RULES))('%s', (_name, rules) => {
    namespace.run(rules);
    try {
      check();
    } finally {
      const standard =
        'ip rule add pref 0 table local; ip rule add pref 32766 table main; ip rule add pref 32767 table default';
      namespace.run(`ip rule flush; ip rule del pref 0; ${standard}`);
      namespace.run('ip -6 rule flush; ip -6 rule add pref 32766 table main');
    }
  });
});
