/**
 * Random rule sets and packets for them: few addresses, ports and interfaces, all of them near each other, so that rules
 * often overlap, contain and exclude each other, and packets meet their bounds.
 */
import fc from 'fast-check';
import { type GatewayOptions, type Sent, table } from '../../support/gateway.js';
import { icmp, ip, tcp, udp, withHeader } from '../../support/packets.js';

export const NET: Pick<GatewayOptions, 'iface' | 'route'> = {
  iface: ['lan=192.168.1.1/24', 'wan=203.0.113.5/24', 'lan2=10.9.0.1/16'],
  route: ['default=203.0.113.254@wan'],
};

const addresses = fc.constantFrom(
  '192.168.1.0/24',
  '192.168.1.0/25',
  '192.168.1.128/25',
  '192.168.1.10/32',
  '192.168.0.0/16',
  '192.168.1.10/255.0.255.255',
  '203.0.113.5',
  '198.51.100.0/24',
  '0.0.0.0/1',
  '128.0.0.0/1',
);
const ports = fc.constantFrom('80', '81', '80:81', ':1023', '1024:', '79:90', '53');
const bang = fc.constantFrom('', '', '', '! ');
const optional = (rule: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof(fc.constant(''), fc.constant(''), rule);

const protocol = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('-p tcp', '-p udp', '-p icmp', '! -p tcp', '! -p udp', '-p tcp -m tcp', '-f', '! -f'),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom('tcp', 'udp'), bang, fc.constantFrom('sport', 'dport'), ports)
      .map(([name, not, which, range]) => `-p ${name} ${not}--${which} ${range}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('tcp', 'udp'), bang, ports, bang, ports)
      .map(([name, a, from, b, to]) => `-p ${name} ${a}--sport ${from} ${b}--dport ${to}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom('tcp', 'udp'),
        bang,
        fc.constantFrom('sports', 'dports', 'ports'),
        fc.constantFrom('80', '80,81', '79,80,81', '1:1023', '22,1024:65535', '0:1023,1024:65535'),
      )
      .map(([name, not, which, list]) => `-p ${name} -m multiport ${not}--${which} ${list}`),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '-p tcp --syn',
      '-p tcp ! --syn',
      '-p tcp --tcp-flags ACK ACK',
      '-p tcp ! --tcp-flags SYN,ACK SYN',
      '-p icmp --icmp-type 8',
      '-p icmp ! --icmp-type 8',
      '-p icmp --icmp-type any',
      '-p icmp --icmp-type 3/1',
    ),
  },
);
const face = (option: string): fc.Arbitrary<string> =>
  optional(
    fc
      .tuple(bang, fc.constantFrom('lan', 'wan', 'lan+', 'lan2', 'la+', '+', 'lo'))
      .filter(([not, name]) => not === '' || name !== '+')
      .map(([not, name]) => `${not}${option} ${name}`),
  );
const extra = optional(
  fc.constantFrom(
    '-m conntrack --ctstate NEW',
    '-m conntrack ! --ctstate NEW',
    '-m state --state RELATED,ESTABLISHED',
    '-m conntrack --ctstate INVALID',
    '-m conntrack --ctstate DNAT',
    '-m conntrack --ctstate NEW,INVALID,UNTRACKED,RELATED,ESTABLISHED',
    '-m conntrack --ctdir REPLY',
    '-m iprange --src-range 192.168.1.0-192.168.1.127',
    '-m iprange --dst-range 198.51.100.0-198.51.100.255',
    '-m iprange ! --src-range 192.168.1.10-192.168.1.20',
    '-m addrtype --dst-type LOCAL',
    '-m addrtype ! --dst-type LOCAL',
    '-m addrtype --src-type UNICAST,LOCAL',
    '-m addrtype --dst-type MULTICAST,BROADCAST',
    '-m mark --mark 0x1',
    '-m mark ! --mark 0x1',
    '-m mark --mark 0x1/0x1',
    '-m mark --mark 0x2/0x1',
    '-m length --length 0:40',
    '-m statistic --mode nth --every 2 --packet 0',
    '-m limit --limit 1/hour --limit-burst 2',
    '-m comment --comment some',
  ),
);

const VERDICTS = ['-j ACCEPT', '-j DROP', '-j RETURN', '-j REJECT', '-j QUEUE'];
const OTHERS = ['-j LOG', '-j A', '-g A', '-j B', '-g B', ''];

/** What a rule is made of: source, destination, interfaces, protocol, another match, target. */
function rule(own: 'in' | 'out' | 'both' | 'none', targets: readonly string[]): fc.Arbitrary<string[]> {
  return fc.tuple(
    optional(fc.tuple(bang, addresses).map(([not, net]) => `${not}-s ${net}`)),
    optional(fc.tuple(bang, addresses).map(([not, net]) => `${not}-d ${net}`)),
    own === 'in' || own === 'both' ? face('-i') : fc.constant(''),
    own === 'out' || own === 'both' ? face('-o') : fc.constant(''),
    protocol,
    extra,
    fc.constantFrom(...targets),
  );
}

/** Half of the rules are an earlier one with another target and one part taken from elsewhere: nearly contained in it. */
function chain(
  name: string,
  own: Parameters<typeof rule>[0],
  targets: readonly string[],
  maxLength: number,
): fc.Arbitrary<string[]> {
  const one = fc.record({ parts: rule(own, targets), like: fc.nat(), part: fc.nat(7), copies: fc.boolean() });
  return fc.array(one, { maxLength }).map((drafts) => {
    const made: string[][] = [];
    for (const { parts, like, part, copies } of drafts) {
      const base = made[like % Math.max(1, made.length)];
      const last = parts.length - 1;
      made.push(
        copies && base !== undefined
          ? parts.map((own, k) => (k === part || k === last ? own : (base[k] ?? '')))
          : parts,
      );
    }
    return made.map((parts) => [name, ...parts].filter((word) => word !== '').join(' '));
  });
}

/** Rules of filter, or of mangle, whose FORWARD, INPUT and OUTPUT jump to A, and that to B. */
export function rulesOf(name: 'filter' | 'mangle' | 'nat'): fc.Arbitrary<string[]> {
  const verdicts =
    name === 'filter' ? VERDICTS : name === 'nat' ? VERDICTS.slice(0, 1).concat('-j RETURN') : VERDICTS.slice(0, 3);
  const marks = name === 'mangle' ? ['-j MARK --set-mark 1', '-j TTL --ttl-set 3'] : [];
  const all = [...verdicts, ...verdicts, ...OTHERS, ...marks];
  const inB = all.filter((target) => !/ [AB]$/.test(target));
  const inA = all.filter((target) => !target.endsWith(' A'));
  const builtin =
    name === 'nat'
      ? [chain('PREROUTING', 'in', all, 8), chain('POSTROUTING', 'out', all, 8)]
      : [chain('FORWARD', 'both', all, 10), chain('INPUT', 'in', all, 5), chain('OUTPUT', 'out', all, 3)];
  return fc.tuple(...builtin, chain('A', 'both', inA, 6), chain('B', 'both', inB, 6)).map((chains) => chains.flat());
}

/** The text of a table with the chains A and B. */
export const text = (name: 'filter' | 'mangle' | 'nat', rules: readonly string[]): string =>
  table(name, ':A -', ':B -', ...rules);

const port = fc.constantFrom(53, 79, 80, 81, 90, 1023, 1024, 40000);
const packet = fc
  .record({
    kind: fc.constantFrom('tcp', 'tcp', 'udp', 'udp', 'icmp', 'gre', 'fragment', 'short'),
    from: fc.constantFrom('192.168.1.10', '192.168.1.127', '192.168.1.128', '192.168.200.1', '203.0.113.9', '10.9.0.7'),
    to: fc.constantFrom('198.51.100.1', '203.0.113.5', '192.168.1.1', '192.168.1.20', '10.9.0.8', '10.10.10.10'),
    sport: port,
    dport: port,
    flags: fc.constantFrom('S', 'SA', 'A', 'F', 'R', 'PA'),
    size: fc.constantFrom(0, 1, 60),
    reply: fc.boolean(),
  })
  .map(({ kind, from, to, sport, dport, flags, size, reply }) => {
    const fields = reply
      ? { src: `${to}:${dport}`, dst: `${from}:${sport}` }
      : { src: `${from}:${sport}`, dst: `${to}:${dport}` };
    const plain = { src: reply ? to : from, dst: reply ? from : to };
    const payload = Buffer.alloc(size);
    switch (kind) {
      case 'tcp':
        return { from: plain.src, bytes: tcp({ ...fields, flags, payload: payload.toString('latin1') }) };
      case 'udp':
        return { from: plain.src, bytes: udp({ ...fields, payload: payload.toString('latin1') }) };
      case 'icmp':
        return { from: plain.src, bytes: icmp({ ...plain, type: reply ? 0 : 8, icmpId: sport, seq: 1 }) };
      case 'gre':
        return { from: plain.src, bytes: ip(plain, 47, payload) };
      case 'short':
        return { from: plain.src, bytes: ip(plain, size === 0 ? 17 : 6, Buffer.alloc(1 + (sport % 12), dport)) };
      default: {
        const later = ip(plain, size === 0 ? 17 : 6, Buffer.alloc(24));
        return { from: plain.src, bytes: withHeader(later, (header) => header.writeUInt16BE(size === 1 ? 1 : 3, 6)) };
      }
    }
  });

const OWN = ['203.0.113.5', '192.168.1.1'];
const wayOf = (from: string, other: string): string => {
  if (OWN.includes(from)) return '@local';
  if (other !== '') return other;
  return from.startsWith('192.168.1.') ? 'lan' : from.startsWith('10.9.') ? 'lan2' : 'wan';
};

/** Packets that come in where they should, as a rule. */
export const packets: fc.Arbitrary<Sent[]> = fc.array(
  fc
    .tuple(packet, fc.constantFrom('', '', '', '', 'lan', 'wan'))
    .map(([{ from, bytes }, other]) => ({ iface: wayOf(from, other), packet: bytes })),
  { minLength: 20, maxLength: 60 },
);
