/**
 * What matches match and what targets change, natreplay against the running kernel: many rules, each of which only counts or
 * changes a packet, and packets of every protocol they ask about. Counters and bytes must agree.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFile } from '../../src/host/hostschema.js';
import { parseRules } from '../../src/rules/index.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { Gateway, neededCommands } from '../../src/verify/gateway.js';
import { compareCounters } from '../../src/verify/listings.js';
import { needs } from '../support/requirements.js';
import { withAllTables } from './chapters/rules.js';
import { HOME_HOST } from './hosts.js';
import { ether, ip, say, tcp, udp } from './packets.js';
import { comparePrediction, counters6Text, countersText, Prediction } from './prediction.js';
import { HOME_HOST6 } from './scenarios6.js';

type Sent = readonly [iface: string, packet: Uint8Array];

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `extensions (${requirement.reason})` : 'extensions';

class Kernel {
  #gateway: Gateway | undefined;
  #sent = 0;

  constructor(
    private readonly family: 4 | 6,
    private readonly host: HostFile,
  ) {}

  /** A line for everything that differs; `changed`: how many packets came out otherwise than a router alone makes them. */
  async ask(text: string, sent: readonly Sent[]): Promise<string[]> {
    const rules = withAllTables(this.family === 4 ? text : '');
    const rules6 = withAllTables(this.family === 6 ? text : '');
    this.#gateway ??= await Gateway.open({ host: this.host, rules, rules6, backend: 'legacy' });
    const kernel = this.#gateway;
    await kernel.reload(rules, rules6);
    const packets = sent.map(([iface, packet]) => ({ iface, frame: ether(packet), time: Date.now() }));
    const { outputs, delivered } = await kernel.send(packets);
    const first = this.#sent;
    const own = <T extends { readonly input: number }>(seen: T): T => ({ ...seen, input: seen.input - first });
    this.#sent += packets.length;
    const prediction = new Prediction(this.host, rules, {
      rules6: parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    });
    const run = { packets, outputs: outputs.map(own), delivered: delivered.map(own) };
    const { mismatches } = comparePrediction(run, prediction);
    const counters =
      this.family === 4
        ? compareCounters(await kernel.counters(), countersText(prediction))
        : compareCounters(await kernel.counters6(), counters6Text(prediction));
    return [
      ...mismatches.map(
        (m) => `${describeMismatch(m)} [${say(ipPacket(packets[m.input]?.frame ?? new Uint8Array(14)))}]`,
      ),
      ...counters.map((l) => `${l.what}: kernel ${l.kernel}, natreplay ${l.predicted}`),
    ];
  }

  async close(): Promise<void> {
    await this.#gateway?.close();
  }
}

const mangle = (chain: string, ...rules: readonly string[]): string =>
  `*mangle\n${rules.map((rule) => `-A ${chain} ${rule}`).join('\n')}\nCOMMIT\n`;

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');
const A4 = { src: '192.168.1.9', dst: '198.51.100.1' };
const A6 = { src: 'fd00:1::9', dst: '2001:db8:100::1' };
const ends = (family: 4 | 6, port = 80): { src: string; dst: string } =>
  family === 4
    ? { src: `${A4.src}:4000`, dst: `${A4.dst}:${port}` }
    : { src: `[${A6.src}]:4000`, dst: `[${A6.dst}]:${port}` };

/** SYNs with and without the option, with others before it at odd offsets, with data; and segments that are no SYN. */
const segments = (family: 4 | 6): Sent[] => {
  const options = [
    '',
    '020405b4',
    '0101080a000000010000000002040064',
    '01020405b40303070101',
    '0302 0404 0101',
    '0204',
    '020405b4020401f4',
    '05000204ffff0000',
    '01'.repeat(40),
    '01'.repeat(36),
  ];
  const padded = (text: string): Uint8Array =>
    hex(text.replaceAll(' ', '').padEnd(Math.ceil(text.replaceAll(' ', '').length / 8) * 8, '0'));
  const made = options.flatMap((text) =>
    ['S', 'SEC', 'A', 'SE'].map((flags) =>
      tcp({ ...ends(family), flags: flags.replace(/[EC]/g, ''), tcpOptions: padded(text) }),
    ),
  );
  made.push(tcp({ ...ends(family), flags: 'S', payload: 'with data' }), tcp({ ...ends(family), flags: 'S', tos: 3 }));
  for (const bits of [0x42, 0x82, 0xc2, 0x10]) {
    const packet = tcp({ ...ends(family), flags: 'S', tcpOptions: hex('020405b4') });
    packet[(family === 4 ? 20 : 40) + 13] = bits;
    made.push(packet);
  }
  return made.map((packet) => ['lan', packet]);
};

const fields = (family: 4 | 6): Sent[] =>
  [0, 1, 2, 3, 8, 0x10, 0x28, 0xb8, 0xff].flatMap((tos) =>
    [2, 3, 64, 65, 254, 255].map((ttl): Sent => ['lan', udp({ ...ends(family), tos, ttl, payload: `tos ${tos}` })]),
  );

const texts = (family: 4 | 6): Sent[] =>
  ['', 'foo', 'xfoo', 'FoO bar', 'fofoo', 'ofo', 'f|oo', '\x00\xff', 'a'.repeat(200), `${'b'.repeat(60)}foo`].map(
    (text): Sent => ['lan', udp({ ...ends(family, 53), payload: Buffer.from(text, 'latin1') })],
  );

/** Protocol numbers with payloads, whole and cut short. */
const protocols = (family: 4 | 6): Sent[] => {
  const sctp = (chunks: string): string => `0fa0 0050 00000001 00000000 ${chunks}`;
  const dccp = (type: number, x: number, more: string, words: number): string =>
    `0fa0 0050 ${words.toString(16).padStart(2, '0')} 00 0000 ${((type << 1) | x).toString(16).padStart(2, '0')} 000000 ${more}`;
  const payloads: readonly (readonly [number, string])[] = [
    [132, sctp('00030010 00000001 00000000 00000000')],
    [132, sctp('00020011 00000001 00000000 00000000 61000000')],
    [132, sctp('01000014 00000001 00001000 00010001 00000001 03000010 000000010000000000000000')],
    [132, sctp('03000010 00000001 00001000 00000000 00030010 00000001 00000000 00000000')],
    [132, sctp('06010004')],
    [132, sctp('0e000004')],
    [132, sctp('00030000')],
    [132, sctp('')],
    [132, '0fa0 0050 00000001'],
    [33, `${dccp(0, 1, '00000000 00000000', 6)}2001 0102 05020000`],
    [33, `${dccp(2, 0, '', 4)}05020000`],
    [33, dccp(2, 0, '', 3)],
    [33, `${dccp(9, 1, '00000000 00000000 00000000', 7)}01010101`],
    [33, dccp(12, 0, '00000000 00000000 00000000', 6)],
    [33, dccp(7, 0, '', 3)],
    [33, '0fa00050'],
    [50, '00000005 00000001 0000'],
    [50, '00000009 00000001'],
    [50, '00000005'],
    [108, '06000005 0000'],
    [108, '06ff0007'],
    [108, '0600'],
    [47, '00000800 4500'],
    [136, '0fa00050 00080000'],
  ];
  if (family === 4) return payloads.map(([protocol, text]): Sent => ['lan', ip(A4, protocol, hex(text))]);
  return payloads.map(([protocol, text]): Sent => ['lan', ip(A6, protocol, hex(text))]);
};

/** Packets with extension headers in front, whole, cut, and of every kind that a match asks about. */
const extensionHeaders = (): Sent[] => {
  const hop = (next: string, text: string): Uint8Array => hex(`${next}00${text}`);
  const routing = (next: string, type: string, left: string, addresses: readonly string[]): Uint8Array =>
    hex(`${next}${(2 * addresses.length).toString(16).padStart(2, '0')}${type}${left}00000000${addresses.join('')}`);
  const first = 'fd000000000000000000000000000001';
  const second = 'fd000000000000000000000000000002';
  const end = '0fa0 0050 000a 0000 6162';
  const cases: readonly (readonly [number, string])[] = [
    [0, `${hex2(hop('11', '050200000100'))}${end}`],
    [60, `${hex2(hop('11', '010400000000'))}${end}`],
    [60, `${hex2(hop('11', '1e0201020100'))}${end}`],
    [60, `1101 0102 0000 0502 0102 0100 0000 0000 ${end}`],
    [43, `${hex2(routing('11', '00', '00', [first, second]))}${end}`],
    [43, `${hex2(routing('11', '00', '01', [second]))}${end}`],
    [43, `${hex2(routing('11', '02', '01', [first]))}${end}`],
    [43, `${hex2(routing('11', '00', '02', []))}${end}`],
    [43, `1108 0000 0000`],
    [60, '1108 0000 0000'],
    [60, '1108 0100 0502 0001 0203'],
    [60, '1101 0000'],
    [51, `1104 0000 00000005 00000001 00000000 00000000 00000000 ${end}`],
    [51, `1102 0001 00000009 00000001 00000000 ${end}`],
    [51, `1102 0000 0000`],
    [135, '3b00 0500 0000 0000'],
    [135, '3b00 0100 0000 0000'],
    [135, '1100 0100 0000 0000'],
    [135, '3b00 01'],
    [59, ''],
    [50, '00000005 00000001'],
    [44, `1100 0001 00000007 ${end} 61626364 6162`],
    [44, `1100 0006 00000009 ${end}`],
    [44, `1100 0148 00000007 ${end}`],
    [44, `1100 0149 00000008 ${end} 61626364 6162`],
  ];
  return cases.map(([protocol, text]): Sent => ['lan', ip(A6, protocol, hex(text))]);
};
const hex2 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const HEADER_RULES: readonly (readonly [what: string, rules: readonly string[]])[] = [
  [
    'hbh and dst',
    [
      '-m hbh',
      '-m hbh --hbh-len 8',
      '-m hbh --hbh-opts 5:2,1',
      '-m hbh ! --hbh-len 8',
      '-m dst',
      '-m dst --dst-len 16',
      '-m dst --dst-opts 1',
      '-m dst --dst-opts 30:2,1',
      '-m dst --dst-opts 1:2,5',
      '-m dst --dst-opts 1:3',
    ],
  ],
  [
    'rt',
    [
      '-m rt',
      '-m rt --rt-type 0',
      '-m rt ! --rt-type 0',
      '-m rt --rt-segsleft 1:2',
      '-m rt ! --rt-segsleft 0',
      '-m rt --rt-len 24',
      '-m rt --rt-type 0 --rt-0-res',
      '-m rt --rt-type 0 --rt-0-addrs fd00::1,fd00::2',
      '-m rt --rt-type 0 --rt-0-addrs fd00::2',
      '-m rt --rt-type 0 --rt-0-addrs fd00::2 --rt-0-not-strict',
    ],
  ],
  [
    'ah',
    [
      '-m ah',
      '-m ah --ahspi 5',
      '-m ah ! --ahspi 5',
      '-m ah --ahlen 24',
      '-m ah --ahspi 0:9 ! --ahlen 24',
      '-m ah --ahres',
    ],
  ],
  ['mh', ['-p mh -m mh', '-p mh --mh-type bu', '-p mh ! --mh-type 0:4']],
  [
    'frag',
    [
      '-m frag',
      '-m frag --fragid 7',
      '-m frag ! --fragid 7',
      '-m frag --fragfirst',
      '-m frag --fragmore',
      '-m frag --fraglast',
      '-m frag --fragres',
      '-m frag --fraglen 100',
    ],
  ],
  [
    'ipv6header',
    [
      'hop',
      'dst',
      'route',
      'frag',
      'auth',
      'none',
      'esp',
      'prot',
      'dst,prot',
      'hop,dst,route,frag,auth,esp,none,prot',
    ].flatMap((list) =>
      ['', '--soft'].flatMap((soft) => [
        `-m ipv6header --header ${list} ${soft}`,
        `-m ipv6header ! --header ${list} ${soft}`,
      ]),
    ),
  ],
];

const PORTS = ['', '--sport 4000', '! --dport 80', '--dport 81:90', '! --sport 1:3999'];
const COUNTED = (
  family: 4 | 6,
): readonly (readonly [what: string, rules: readonly string[], sent: readonly Sent[]])[] => [
  [
    'dscp, tos, ecn, ttl',
    [
      '-m dscp --dscp 0',
      '-m dscp ! --dscp-class EF',
      '-m dscp --dscp-class AF11',
      '-m tos --tos 0x10/0x3f',
      '-m tos ! --tos 8',
      '-m tos --tos 0x05/0xfc',
      '-m ecn --ecn-ip-ect 3',
      '-m ecn ! --ecn-ip-ect 0',
      '-m ecn --ecn-ip-ect 1',
      ...(family === 4
        ? ['-m ttl --ttl-eq 64', '-m ttl --ttl-lt 64', '-m ttl --ttl-gt 64']
        : ['-m hl --hl 64', '-m hl ! --hl-eq 64', '-m hl --hl-gt 64']),
    ],
    fields(family),
  ],
  [
    'u32 and string',
    [
      '-m u32 --u32 "0>>28=4,6"',
      '-m u32 --u32 "0&0xFFFF=0:40"',
      '-m u32 ! --u32 "6&0xFF=17"',
      '-m u32 --u32 "0>>22&0x3C@0>>16=4000"',
      '-m u32 --u32 "0>>22&0x3C@8=0x666f6f20:0x666f6fff"',
      '-m u32 --u32 "0>>22&0x3C@4&0xFFFF=0&&0=0:0xffffffff"',
      '-m u32 --u32 "60=0:0xffffffff"',
      '-m u32 --u32 "40@0=0"',
      '-m u32 --u32 "0<<4>>24=0x50"',
      '-m string --algo bm --string foo',
      '-m string --algo kmp ! --string foo',
      '-m string --algo bm --string foo --icase',
      '-m string --algo kmp --string foo --from 29',
      '-m string --algo kmp --string foo --to 31',
      '-m string --algo bm --string foo --to 30',
      '-m string --algo kmp --string foo --from 48 --to 52',
      '-m string --algo bm --hex-string "|00 ff|"',
      '-m string --algo kmp --string aaa --from 100',
      '-m string --algo bm --string foo --from 65535',
    ],
    texts(family),
  ],
  [
    'sctp',
    [
      ...PORTS.map((ports) => `-p sctp -m sctp ${ports}`),
      ...[
        'any DATA',
        'all DATA,SACK',
        'only DATA',
        'any DATA:B',
        'any DATA:b',
        'only DATA,SACK',
        'any ABORT:T',
        'all SHUTDOWN_COMPLETE:t',
        'any ALL',
        'all ALL',
        'only ALL',
        'any NONE',
        'all NONE',
        'only NONE',
        'any I_DATA',
      ].flatMap((chunks) => [`-p sctp --chunk-types ${chunks}`, `-p sctp ! --chunk-types ${chunks}`]),
    ],
    protocols(family),
  ],
  [
    'dccp',
    [
      ...PORTS.map((ports) => `-p dccp -m dccp ${ports}`),
      '-p dccp --dccp-types REQUEST,DATA',
      '-p dccp ! --dccp-types INVALID',
      '-p dccp --dccp-types INVALID',
      '-p dccp --dccp-option 5',
      '-p dccp ! --dccp-option 32',
    ],
    protocols(family),
  ],
  [
    'esp and ipcomp',
    [
      '-p esp -m esp',
      '-p esp --espspi 5',
      '-p esp ! --espspi 5:8',
      '-p ipcomp --ipcompspi 5',
      '-p ipcomp ! --ipcompspi 5:6',
      '-p ipcomp --ipcompspi 0:10 --compres',
    ],
    protocols(family),
  ],
  [
    'ecn and tcpmss',
    [
      '-p tcp -m ecn --ecn-tcp-cwr',
      '-p tcp -m ecn ! --ecn-tcp-ece',
      '-p tcp -m ecn --ecn-tcp-cwr --ecn-tcp-ece --ecn-ip-ect 0',
      '-p tcp -m tcpmss --mss 1460',
      '-p tcp -m tcpmss ! --mss 100:1459',
      '-p tcp -m tcpmss --mss 0:1000',
    ],
    segments(family),
  ],
  [
    'time',
    [
      '-m time --timestart 00:00 --timestop 23:59:59',
      '-m time --weekdays Mon,Tue,Wed',
      '-m time --weekdays Thu,Fri,Sat,Sun',
      '-m time --datestart 2030',
      '-m time --datestop 2030',
      '-m time --monthdays 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15',
      '-m time --timestart 12:00 --timestop 11:59:59',
      '-m time --timestart 06:00 --timestop 12:00',
      '-m time --timestart 18:00 --timestop 06:00',
      '-m time --timestart 23:00 --timestop 22:00 --contiguous --weekdays Mon',
    ],
    texts(family),
  ],
  [
    'what a plain host answers',
    [
      '-m policy --dir in --pol none',
      '-m policy --dir in --pol ipsec',
      '-m socket',
      '-m socket --transparent',
      '-m helper --helper ftp',
      '-m helper ! --helper ftp',
      '-m helper ! --helper ""',
      ...(family === 6 ? ['-m eui64'] : []),
    ],
    texts(family),
  ],
  [
    'rpfilter',
    ['', '--loose', '--invert', '--accept-local', '--loose --accept-local', '--validmark', '--loose --invert'].map(
      (flags) => `-m rpfilter ${flags}`,
    ),
    [
      ...texts(family),
      ...(family === 4
        ? ['203.0.113.77', '192.168.1.3', '10.9.9.9']
        : ['2001:db8:5::77', 'fd00:1::3', '2001:db8:ffff::1', 'fd00:1::1', '2001:db8:dead::7', 'fe80::77']
      ).flatMap((src): Sent[] =>
        ['lan', 'wan'].map((iface) => [
          iface,
          udp({ src: family === 4 ? `${src}:4000` : `[${src}]:4000`, dst: ends(family).dst, payload: 'x' }),
        ]),
      ),
    ],
  ],
];

const CHANGES = (family: 4 | 6): readonly (readonly [what: string, rule: string, sent: readonly Sent[]])[] => [
  ...['--set-mss 1200', '--set-mss 1460', '--set-mss 300', '--set-mss 0', '--clamp-mss-to-pmtu'].map(
    (how) => [`TCPMSS ${how}`, `-p tcp --tcp-flags SYN SYN -j TCPMSS ${how}`, segments(family)] as const,
  ),
  ...['mss,sack-permitted', '3,5,8', ''].map(
    (kinds) =>
      [
        `TCPOPTSTRIP ${kinds}`,
        `-p tcp -j TCPOPTSTRIP ${kinds === '' ? '' : `--strip-options ${kinds}`}`,
        segments(family),
      ] as const,
  ),
  ...['--set-tos 0x10', '--set-tos 0x10/0x3f', '--and-tos 0x0f', '--or-tos 0xf0', '--xor-tos 0xff'].map(
    (how) => [`TOS ${how}`, `-j TOS ${how}`, fields(family)] as const,
  ),
  ...['0', '46', '63'].map((value) => [`DSCP ${value}`, `-j DSCP --set-dscp ${value}`, fields(family)] as const),
  ...['set 0', 'set 9', 'inc 1', 'inc 200', 'dec 2', 'dec 70'].map((how) => {
    const name = family === 4 ? 'TTL' : 'HL';
    return [`${name} ${how}`, `-j ${name} --${name.toLowerCase()}-${how}`, fields(family)] as const;
  }),
  ...(family === 6
    ? []
    : ['--ecn-tcp-remove', '--ecn-tcp-ece 1', '--ecn-tcp-cwr 1 --ecn-ip-ect 2'].map(
        (how) => [`ECN ${how}`, `-p tcp -j ECN ${how}`, segments(4)] as const,
      )),
  ...(family === 6
    ? []
    : ['--ecn-ip-ect 0', '--ecn-ip-ect 3'].map((how) => [`ECN ${how}`, `-j ECN ${how}`, fields(4)] as const)),
];

for (const family of [4, 6] as const) {
  describe.skipIf(requirement.skip)(`${title}, IPv${family}`, () => {
    const kernel = new Kernel(family, family === 4 ? HOME_HOST : HOME_HOST6);
    afterAll(() => kernel.close());

    it.each(COUNTED(family))('count what the kernel counts: %s', async (_, rules, sent) => {
      expect(await kernel.ask(mangle('PREROUTING', ...rules), sent)).toEqual([]);
    });

    if (family === 6) {
      it.each(HEADER_RULES)('count what the kernel counts of extension headers: %s', async (_, rules) => {
        expect(await kernel.ask(mangle('PREROUTING', ...rules), extensionHeaders())).toEqual([]);
      });

      it.each([
        ['SNPT', 'POSTROUTING', '--src-pfx fd00:1::/64 --dst-pfx 2001:db8:77::/64'],
        ['SNPT', 'POSTROUTING', '--src-pfx fd00:1::/48 --dst-pfx 2001:db8:77::/48'],
        ['SNPT', 'POSTROUTING', '--src-pfx fd00::/20 --dst-pfx 2001:db8::/36'],
        ['DNPT', 'PREROUTING', '--src-pfx 2001:db8:100::/64 --dst-pfx 2001:db8:200::/56'],
      ])('translate prefixes as the kernel does: %s in %s, %s', async (name, chain, prefixes) => {
        expect(
          await kernel.ask(
            mangle(
              chain,
              `-i lan -j ${name} ${prefixes}`.replace(/^-i lan/, chain === 'POSTROUTING' ? '-o wan' : '-i lan'),
            ),
            fields(6),
          ),
        ).toEqual([]);
      });
    }

    it('drop what TPROXY finds no socket for', async () => {
      expect(await kernel.ask(mangle('PREROUTING', '-p udp -j TPROXY --on-port 99'), texts(family))).toEqual([]);
    });

    it.each(CHANGES(family))('change what the kernel changes: %s', async (_, rule, sent) => {
      expect(await kernel.ask(mangle(family === 4 ? 'FORWARD' : 'POSTROUTING', rule), sent)).toEqual([]);
    });
  });
}
