/** Explanations of the cases that people ask about, and their forms: text, JSON, flowchart. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ExplainedPacket, explainPacket } from '../../src/explain/explain.js';
import { explanationJsonSchema, explanationJsonText, explanationSchema } from '../../src/explain/json.js';
import { explanationMermaid, label } from '../../src/explain/mermaid.js';
import type { Explanation, RuleVisit, Step } from '../../src/explain/model.js';
import { parsePacketText } from '../../src/explain/packettext.js';
import { explanationText } from '../../src/explain/text.js';
import { hostFromOptions, statedHost } from '../../src/host/hostoptions.js';
import type { Host } from '../../src/host/types.js';
import { colours } from '../../src/report/page.js';
import { parseRules } from '../../src/rules/index.js';
import { ROOT } from '../support/cli.js';
import { table } from '../support/gateway.js';

interface Setting {
  readonly host: Host;
  readonly rules?: string;
  readonly rules6?: string;
}

function recorded(name: string): Setting {
  const folder = `${ROOT}captures/${name}`;
  const host = statedHost({ file: `${folder}/host.json` });
  if (host === undefined) throw new Error(name);
  return { host, rules: readFileSync(`${folder}/rules.v4`, 'utf8') };
}

const DOCKER = recorded('docker-bridge');
const HOME = recorded('home-gateway');
const PLAIN = hostFromOptions({
  iface: ['lan=192.168.1.1/24,2001:db8:1::1/64', 'wan=203.0.113.5/24,2001:db8::5/64'],
  route: ['default=203.0.113.1@wan', 'default6=2001:db8::1@wan'],
});

function explain(packet: string, { host, rules, rules6 }: Setting): ExplainedPacket {
  return explainPacket(parsePacketText(packet), {
    host,
    rules: rules === undefined ? undefined : parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' }),
    rules6: rules6 === undefined ? undefined : parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
  });
}

const text = (explanation: Explanation, all = false): string =>
  explanationText(explanation, { colours: colours(false), all });
const told = (packet: string, setting: Setting): string => text(explain(packet, setting).explanation);

const steps = ({ journey }: Explanation): Step[] =>
  journey.path.flatMap((stage) => (stage.kind === 'hook' ? stage.steps : []));

/** Every rule that was tried, chain in chain. */
function tried(explanation: Explanation): RuleVisit[] {
  const visit = (rules: readonly RuleVisit[]): RuleVisit[] =>
    rules.flatMap((rule) => [rule, ...visit(rule.jump?.rules ?? [])]);
  return steps(explanation).flatMap((step) =>
    'walk' in step && step.walk !== undefined ? visit(step.walk.rules) : [],
  );
}

describe('the origin story: a published port', () => {
  it('from outside: DNAT in DOCKER, and the way back', () => {
    expect(told('tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0', DOCKER)).toBe(`\
Packet tcp 198.51.100.7:40000 > 192.0.2.1:8799 SYN, in eth0, TTL 64, 40 bytes
├─ PREROUTING (in eth0)
│  ├─ conntrack: NEW, a new connection, SYN_SENT
│  └─ nat PREROUTING
│     ├─ ✓ 1: -m addrtype --dst-type LOCAL -j DOCKER
│     │  ├─ ✗ 1: -i docker0 -j RETURN
│     │  │     incoming interface docker0, the packet came in by eth0
│     │  └─ ✓ 2: ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
│     └─ the destination is mapped to 172.17.0.3:1337
│           before  tcp 198.51.100.7:40000 > 192.0.2.1:8799 SYN
│           after   tcp 198.51.100.7:40000 > 172.17.0.3:1337 SYN
├─ routing: 172.17.0.3 is on docker0: it is to be forwarded
├─ FORWARD (in eth0, out docker0)
│  │  TTL 64 -> 63
│  └─ filter FORWARD
│     ├─ ✓ 1: -j DOCKER-USER
│     │  └─ ✓ 1: -j RETURN
│     │        back to FORWARD
│     ├─ ✓ 2: -j DOCKER-ISOLATION-STAGE-1
│     │  ├─ ✗ 1: -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
│     │  │     incoming interface docker0, the packet came in by eth0
│     │  └─ ✓ 2: -j RETURN
│     │        back to FORWARD
│     ├─ ✗ 3: -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
│     │     connection state RELATED,ESTABLISHED, the packet is NEW, DNAT
│     └─ ✓ 4: -o docker0 -j DOCKER
│        └─ ✓ 1: -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 1337 -j ACCEPT
└─ POSTROUTING (in eth0, out docker0)
   ├─ nat POSTROUTING
   │  ├─ ✗ 1: -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
   │  │     source 172.17.0.0/16, the packet has 198.51.100.7
   │  ├─ ✗ 2: -s 172.17.0.3/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE
   │  │     source 172.17.0.3, the packet has 198.51.100.7
   │  ├─ ✗ 3: -s 172.17.0.4/32 -d 172.17.0.4/32 -p tcp -m tcp --dport 80 -j MASQUERADE
   │  │     source 172.17.0.4, the packet has 198.51.100.7
   │  ├─ policy ACCEPT
   │  └─ no rule translates: the source stays as it is
   └─ conntrack: the connection is confirmed

Outcome sent out of docker0 as tcp 198.51.100.7:40000 > 172.17.0.3:1337 SYN
  before  tcp 198.51.100.7:40000 > 192.0.2.1:8799 SYN, TTL 64
  after   tcp 198.51.100.7:40000 > 172.17.0.3:1337 SYN, TTL 63

Reply tcp 172.17.0.3:1337 > 198.51.100.7:40000 SYN,ACK, in docker0, TTL 64, 40 bytes
  PREROUTING   ESTABLISHED, a reply of the connection tcp 198.51.100.7:40000 > 192.0.2.1:8799, SYN_RECV
  routing      198.51.100.7 is by way of 192.0.2.254 on eth0: it is to be forwarded
  FORWARD      TTL 64 -> 63; filter:FORWARD:5, ACCEPT
  POSTROUTING  the source is translated as its connection is, no rule is asked: source 172.17.0.3:1337 -> 192.0.2.1:8799
  sent out of eth0 as tcp 192.0.2.1:8799 > 198.51.100.7:40000 SYN,ACK
`);
  });

  it('from a container to its own published port: RETURN, so the host itself is asked', () => {
    const { explanation } = explain('tcp 172.17.0.3:43000 > 192.0.2.1:8799 in docker0', DOCKER);
    expect(text(explanation)).toContain(`\
│     ├─ ✓ 1: -m addrtype --dst-type LOCAL -j DOCKER
│     │  └─ ✓ 1: -i docker0 -j RETURN
│     │        back to PREROUTING
│     ├─ policy ACCEPT
│     └─ no rule translates: the destination stays as it is
├─ routing: 192.0.2.1 is for the host itself: it is to be delivered
`);
    expect(explanation.journey.outcome).toMatchObject({ verdict: 'local', why: undefined });
    expect(explanation.reply?.outcome.out).toBe('docker0');
  });

  it('from the host itself: DNAT in OUTPUT, and routed anew', () => {
    const said = told('tcp 192.0.2.1:41000 > 192.0.2.1:80 from @local', DOCKER);
    expect(said).toContain('├─ routing: 192.0.2.1 is the host itself, by lo\n');
    expect(said).toContain('├─ routing: anew, for it was changed: 172.17.0.4 is on docker0\n');
    expect(said).toContain('Outcome sent out of docker0 as tcp 192.0.2.1:41000 > 172.17.0.4:80 SYN');
    expect(said).toContain('\n  delivered to the host as tcp 192.0.2.1:80 > 192.0.2.1:41000 SYN,ACK\n');
  });
});

describe('what is asked most', () => {
  it('home gateway: MASQUERADE, and a later packet of the connection, for which no rule is asked', () => {
    const { explanation } = explain('udp 192.168.1.10:4000 > 198.51.100.53:53 in lan0 state established', HOME);
    expect(explanation.played).toBe(2);
    const said = text(explanation);
    expect(said).toContain(
      'POSTROUTING  the source is mapped to 203.0.113.2: source 192.168.1.10:4000 -> 203.0.113.2:4000',
    );
    expect(said).toContain('conntrack: ESTABLISHED, of the connection udp 192.168.1.10:4000 > 198.51.100.53:53');
    expect(said).toContain('nat: the source is translated as its connection is, no rule is asked');
  });

  it('dropped by filter: which rule, and no reply', () => {
    const { explanation } = explain('tcp 198.51.100.7:4000 > 192.168.1.10:22 in wan0', HOME);
    expect(explanation.journey.outcome).toMatchObject({ verdict: 'drop', why: 'filter:FORWARD:policy' });
    expect(text(explanation)).toContain('Outcome dropped by filter:FORWARD:policy\n\nReply none: it is dropped\n');
  });

  it('INVALID: not translated, whatever nat says', () => {
    const { explanation } = explain('tcp 192.168.1.10:4000 > 198.51.100.80:80 flags FPU in lan0', {
      ...HOME,
      rules: table('nat', 'POSTROUTING -o wan0 -j MASQUERADE'),
    });
    expect(text(explanation)).toContain(
      'conntrack: INVALID, its TCP flags make no sense here, or it is outside the window',
    );
    expect(text(explanation)).toContain('nat: it belongs to no connection, so nothing is translated');
    expect(explanation.journey.outcome.after?.text).toBe('tcp 192.168.1.10:4000 > 198.51.100.80:80');
  });

  it('REJECT: what the sender is told', () => {
    const rules = table('filter', 'FORWARD -p tcp --dport 25 -j REJECT --reject-with icmp-admin-prohibited');
    const said = told('tcp 192.168.1.10:4000 > 198.51.100.80:25 in lan', { host: PLAIN, rules });
    expect(said).toContain('Outcome dropped by filter:FORWARD:1; its sender is told: icmp-admin-prohibited\n');
  });

  it('IPv6', () => {
    const rules6 = table('filter', ':FORWARD DROP', 'FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT');
    const setting = { host: PLAIN, rules6 };
    expect(told('icmp6 2001:db8:1::10 > 2001:db8:2::1 in lan', setting)).toContain('Outcome sent out of wan as icmpv6');
    expect(told('icmp6 2001:db8:1::10 > 2001:db8:2::1 packet-too-big in lan', setting)).toContain(
      'ICMP type 128 (echo-request), the packet has 2/0 (packet-too-big)',
    );
    expect(told('tcp [2001:db8:1::10]:4000 > [2001:db8:2::1]:80 in lan', setting)).toContain(
      'protocol icmpv6, the packet is tcp',
    );
  });

  it('routing drops it: why', () => {
    expect(told('udp 127.0.0.1:4000 > 192.168.1.1:53 in lan', { host: PLAIN })).toContain(
      'Outcome dropped: its source address cannot come from there\n',
    );
    expect(told('udp 192.168.1.10:4000 > 198.51.100.1:53 in lan ttl 1', { host: PLAIN })).toContain(
      'Outcome dropped: its TTL is used up\n',
    );
  });
});

describe('why a rule does not match', () => {
  const packet = 'tcp 192.168.1.10:4000 > 198.51.100.1:80 in lan mark 0x5 tos 0x10 mac 02:00:00:00:00:0a';
  it.each([
    ['-s 10.0.0.0/8', 'source 10.0.0.0/8, the packet has 192.168.1.10'],
    ['! -s 192.168.0.0/16', 'source not 192.168.0.0/16, the packet has 192.168.1.10'],
    ['-d 198.51.100.2', 'destination 198.51.100.2, the packet has 198.51.100.1'],
    ['-i wan', 'incoming interface wan, the packet came in by lan'],
    ['! -i l+', 'incoming interface not l+, the packet came in by lan'],
    ['-o lan', 'outgoing interface lan, the packet is to leave by wan'],
    ['-p udp', 'protocol udp, the packet is tcp'],
    ['-f', 'fragment a later one, the packet is none'],
    ['-p tcp --dport 443', 'destination port 443, the packet has 80'],
    ['-p tcp --sport 1:1023', 'source port 1:1023, the packet has 4000'],
    ['-p tcp ! --dport 80', 'destination port not 80, the packet has 80'],
    ['-p tcp --tcp-flags SYN,ACK ACK', 'TCP flags ACK of SYN,ACK, the packet has SYN'],
    ['-p tcp -m multiport --dports 22,443', 'destination port 22,443, the packet has 80'],
    ['-m conntrack --ctstate ESTABLISHED', 'connection state ESTABLISHED, the packet is NEW'],
    ['-m state ! --state NEW', 'connection state not NEW, the packet is NEW'],
    ['-m conntrack --ctdir REPLY', 'direction REPLY, the packet is ORIGINAL'],
    ['-m addrtype --dst-type LOCAL', 'destination type LOCAL, 198.51.100.1 is UNICAST'],
    ['-m iprange --src-range 10.0.0.1-10.0.0.9', 'source 10.0.0.1-10.0.0.9, the packet has 192.168.1.10'],
    ['-m mark --mark 0x1', 'match mark --mark 0x1, the packet has mark 0x5'],
    ['-m length --length 100', 'match length --length 100, the packet has 40 bytes'],
    ['-m ttl --ttl-lt 5', 'match ttl --ttl-lt 5, the packet has TTL 63'],
    ['-m tos --tos 0x08', 'match tos --tos 0x08/0xff, the packet has TOS 0x10'],
    [
      '-m mac --mac-source 02:00:00:00:00:01',
      'match mac --mac-source 02:00:00:00:00:01, the packet has 02:00:00:00:00:0a',
    ],
    ['-m statistic --mode nth --every 2 --packet 1', 'statistic mode nth, it is not the turn of this packet'],
  ])('%s', (rule, reason) => {
    const { explanation } = explain(packet, { host: PLAIN, rules: table('filter', `FORWARD ${rule} -j DROP`) });
    expect(tried(explanation).map(({ why }) => why?.text)).toEqual([reason]);
  });

  it('a rule that matches says what it changed', () => {
    const rules = table('mangle', 'FORWARD -j MARK --set-mark 0x7', 'FORWARD -j TTL --ttl-set 9', 'FORWARD');
    const said = told(packet, { host: PLAIN, rules });
    expect(said).toMatch(/✓ 1: -j MARK --set-xmark 0x7\/0xffffffff\n.*mark 0x5 -> 0x7\n/);
    expect(said).toMatch(/✓ 2: -j TTL --ttl-set 9\n.*TTL 63 -> 9\n/);
    expect(said).toMatch(/✓ 3: \(every packet\)\n.*counted only\n/);
  });
});

describe('a long rule set', () => {
  const rules = table('filter', ...Array.from({ length: 97 }, (_, k) => `FORWARD -p tcp --dport ${1000 + k} -j DROP`));

  it('folds what does not match, unless it is asked for', () => {
    const { explanation } = explain('tcp 192.168.1.10:4000 > 198.51.100.1:80 in lan', { host: PLAIN, rules });
    expect(text(explanation)).toContain('… 97 rules do not match, 1-97 (destination port)\n');
    expect(text(explanation, true)).toContain('✗ 97: -p tcp -m tcp --dport 1096 -j DROP\n');
    expect(tried(explanation)).toHaveLength(97);
  });
});

describe('rules from strangers', () => {
  const rules = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:end"]x[" - [0:0]
-A FORWARD -m comment --comment "\u001b[31m 1. \\"x\\"] --> \`y\` %% <b> ; #quot; \u202e" -j end"]x["
COMMIT
`;
  const { explanation } = explain('tcp 192.168.1.10:4000 > 198.51.100.1:80 in lan', { host: PLAIN, rules });

  it('bring no control characters to a terminal', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(text(explanation)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(text(explanation)).toContain('\\x1b[31m');
  });

  it('bring nothing into a flowchart but text: every label is between its quotes', () => {
    const lines = explanationMermaid(explanation).trimEnd().split('\n');
    const shapes = [
      /^flowchart TD$/,
      /^ *subgraph [a-z0-9]+\["[^"]*"\]$/,
      /^ *end$/,
      /^ *[a-z0-9]+ --> [a-z0-9]+$/,
      /^ *[a-z0-9]+(\["[^"]*"\]|\(\["[^"]*"\]\)|\{"[^"]*"\})$/,
    ];
    expect(lines.filter((line) => !shapes.some((shape) => shape.test(line)))).toEqual([]);
    expect(label('"]; `<b>`é')).toBe('#34;#93;#59; #96;#60;b#62;#96;#233;');
  });
});

describe('JSON', () => {
  it.each([
    ['tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0', DOCKER],
    ['tcp 192.0.2.1:41000 > 192.0.2.1:80 from @local state established', DOCKER],
    ['tcp 198.51.100.7:4000 > 192.168.1.10:22 in wan0', HOME],
    ['icmp6 fe80::1 > ff02::1 in lan', { host: PLAIN }],
  ])('is as its schema says: %s', (packet, setting) => {
    const { explanation } = explain(packet, setting);
    const json: unknown = JSON.parse(explanationJsonText(explanation, ['something']));
    expect(explanationSchema.strict().parse(json)).toEqual(json);
  });

  it('has its schema beside the documentation (npx tsx scripts/schema.ts)', () => {
    expect(JSON.parse(readFileSync(`${ROOT}docs/explain.schema.json`, 'utf8'))).toEqual(explanationJsonSchema());
  });
});
