/** Listings and -S output as people paste them. */
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../../src/errors.js';
import { printRules, type Ruleset, readRules, statedFamily, type TableName } from '../../../src/rules/index.js';
import { kindOf } from '../../../src/rules/listing/kind.js';

const PLAIN = 'target     prot opt source               destination';
const VERBOSE = ' pkts bytes target     prot opt in     out     source               destination';

function read(text: string, table?: TableName): Ruleset {
  return readRules(text, { file: 'pasted', family: statedFamily(text) ?? 4, unsupported: 'stop', table }).ruleset;
}

/** The rules of a text, without chains. */
function rulesOf(text: string, table?: TableName): string[] {
  return printRules(read(text, table), { counters: true })
    .split('\n')
    .filter((line) => line.startsWith('['));
}

function row(text: string, heading = PLAIN): string {
  return `Chain INPUT (policy ACCEPT)\n${heading}\n${text}\n\nChain FOO (1 references)\n${heading}\n`;
}

describe('what a text is', () => {
  it.each([
    ['*filter\n-A INPUT -j DROP\nCOMMIT\n', 'save'],
    [':INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n', 'save'],
    ['Chain INPUT (policy ACCEPT)\n', 'listing'],
    ['  3  Chain INPUT (policy ACCEPT)\n', 'listing'],
    ['some prose\n\n    Chain INPUT (policy ACCEPT)\n', 'listing'],
    ['-P INPUT ACCEPT\n-A INPUT -j DROP\n', 'commands'],
    ['$ sudo iptables -S\n-P INPUT ACCEPT\n', 'commands'],
    ['', 'save'],
    ['export A=1\n', 'save'],
  ])('%j: %s', (text, kind) => {
    expect(kindOf(text)).toBe(kind);
  });
});

describe('a row', () => {
  it.each([
    ['ACCEPT all -- anywhere anywhere', '-j ACCEPT'],
    ['ACCEPT 0 -- 0.0.0.0/0 0.0.0.0/0', '-j ACCEPT'],
    ['all -- loopback/8 localhost', '-s 127.0.0.0/8 -d 127.0.0.1/32'],
    ['           6    --  10.0.0.0/8 !10.1.0.0/16', '-s 10.0.0.0/8 ! -d 10.1.0.0/16 -p tcp'],
    ['DROP       all  -f  anywhere link-local/16', '-d 169.254.0.0/16 -f -j DROP'],
    ['FOO !tcp !f anywhere anywhere', '! -p tcp ! -f -j FOO'],
    ['FOO all -- anywhere anywhere [goto] ', '-g FOO'],
    ['FOO all -- anywhere anywhere [goto]  state NEW', '-m state --state NEW -g FOO'],
    ['ACCEPT tcp -- anywhere anywhere tcp dpt:http', '-p tcp -m tcp --dport 80 -j ACCEPT'],
    [
      'ACCEPT udp -- anywhere anywhere udp spts:1024:65535 dpt:!domain',
      '-p udp -m udp --sport 1024:65535 ! --dport 53 -j ACCEPT',
    ],
    ['ACCEPT tcp -- anywhere anywhere tcp flags:0x17/0x02', '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT'],
    [
      'ACCEPT tcp -- anywhere anywhere tcp dpt:22 flags: 0x17/0x02',
      '-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT',
    ],
    [
      'DROP tcp -- anywhere anywhere tcp dpt:22flags: 0x17/0x02',
      '-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP',
    ],
    ['ACCEPT tcp -- anywhere anywhere tcp flags:!FIN,SYN/SYN', '-p tcp -m tcp ! --tcp-flags FIN,SYN SYN -j ACCEPT'],
    ['ACCEPT tcp -- anywhere anywhere multiport dports http,https', '-p tcp -m multiport --dports 80,443 -j ACCEPT'],
    ['ACCEPT icmp -- anywhere anywhere icmp type 8', '-p icmp -m icmp --icmp-type 8 -j ACCEPT'],
    ['ACCEPT icmp -- anywhere anywhere icmptype 3 code 4', '-p icmp -m icmp --icmp-type 3/4 -j ACCEPT'],
    ['ACCEPT icmp -- anywhere anywhere icmp !echo-request', '-p icmp -m icmp ! --icmp-type 8 -j ACCEPT'],
    [
      'ACCEPT all -- anywhere anywhere ctstate RELATED,ESTABLISHED',
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ],
    ['ACCEPT all -- anywhere anywhere /* a */ b */', '-m comment --comment "a */ b" -j ACCEPT'],
    [
      'ACCEPT tcp -- anywhere anywhere tcp dpt:22 /* to:1.2.3.4 */',
      '-p tcp -m tcp --dport 22 -m comment --comment "to:1.2.3.4" -j ACCEPT',
    ],
    [
      'REJECT all -- anywhere anywhere reject-with icmp-port-unreachable',
      '-j REJECT --reject-with icmp-port-unreachable',
    ],
    ["LOG all -- anywhere anywhere LOG level warning prefix `IPT: '", '-j LOG --log-prefix "IPT: "'],
    [
      'LOG all -- anywhere anywhere limit: avg 5/min burst 5 LOG flags 8 level 7 prefix "a \\"b"',
      '-m limit --limit 5/min -j LOG --log-prefix "a \\\\\\"b" --log-level 7 --log-uid',
    ],
  ])('%s', (text, rule) => {
    expect(rulesOf(row(text), 'filter')).toEqual([`[0:0] -A INPUT ${rule}`]);
  });

  it.each([
    [
      'DNAT tcp -- anywhere anywhere tcp dpt:8080 to:172.17.0.4:80',
      '-p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.4:80',
    ],
    [
      'REDIRECT tcp -- anywhere anywhere tcp dpt:80 redir ports 3128',
      '-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128',
    ],
  ])('of nat: %s', (text, rule) => {
    const listing = `Chain PREROUTING (policy ACCEPT)\n${PLAIN}\n${text}\n`;
    expect(rulesOf(listing, 'nat')).toEqual([`[0:0] -A PREROUTING ${rule}`]);
  });

  it.each([
    ['48468 2965K ACCEPT all -- any any anywhere anywhere', '[48468:2965000] -A INPUT -j ACCEPT'],
    ['  817K  124M ACCEPT all -- eth0 any anywhere anywhere', '[817000:124000000] -A INPUT -i eth0 -j ACCEPT'],
    ['    0     0        all  --  !br-+ *  0.0.0.0/0 0.0.0.0/0', '[0:0] -A INPUT ! -i br-+'],
    ['  12G 4321T DROP   47   --  *  *  0.0.0.0/0 0.0.0.0/0', '[12000000000:4321000000000000] -A INPUT -p gre -j DROP'],
  ])('with counters: %s', (text, rule) => {
    expect(rulesOf(row(text, VERBOSE), 'filter')).toEqual([rule]);
  });

  it('with line numbers', () => {
    expect(rulesOf(row('1    ACCEPT     all  --  anywhere   anywhere', `num  ${PLAIN}`), 'filter')).toEqual([
      '[0:0] -A INPUT -j ACCEPT',
    ]);
  });

  it('of IPv6, whose opt column older versions left blank', () => {
    const text = row('ACCEPT     tcp      ::/0                 fd00::1/128         tcp dpt:22');
    expect(statedFamily(text)).toBe(6);
    expect(rulesOf(text, 'filter')).toEqual(['[0:0] -A INPUT -d fd00::1/128 -p tcp -m tcp --dport 22 -j ACCEPT']);
  });
});

describe('the table of a listing', () => {
  const chain = (name: string, ...rows: string[]): string =>
    `Chain ${name} (policy ACCEPT)\n${[PLAIN, ...rows].join('\n')}\n\n`;
  const own = (name: string, ...rows: string[]): string =>
    `Chain ${name} (1 references)\n${[PLAIN, ...rows].join('\n')}\n\n`;
  const filter = chain('INPUT') + chain('FORWARD') + chain('OUTPUT');
  const nat = chain('PREROUTING') + chain('INPUT') + chain('OUTPUT') + chain('POSTROUTING');

  it.each([
    ['three hooks', filter, ['filter']],
    ['four hooks', nat, ['nat']],
    ['nat as kernels before 2.6.34 had it', chain('PREROUTING') + chain('POSTROUTING') + chain('OUTPUT'), ['nat']],
    ['two hooks', chain('PREROUTING') + chain('OUTPUT'), ['raw']],
    [
      'two hooks and a DNAT',
      chain('PREROUTING', 'DNAT tcp -- anywhere anywhere to:10.0.0.1') + chain('OUTPUT'),
      ['nat'],
    ],
    [
      'five hooks',
      chain('PREROUTING') + chain('INPUT') + chain('FORWARD') + chain('OUTPUT') + chain('POSTROUTING'),
      ['mangle'],
    ],
    ["a chain of one's own with MASQUERADE", own('X', 'MASQUERADE all -- anywhere anywhere'), ['nat']],
    ["a chain of one's own", own('X', 'ACCEPT all -- anywhere anywhere'), ['filter']],
    ['one after the other', filter + nat, ['filter', 'nat']],
    ['one after the other, nat first', nat + own('DOCKER') + filter + own('DOCKER'), ['nat', 'filter']],
    ['prompts', `# iptables -t mangle -nvL\n${filter}root@host:~# iptables -L\n${filter}`, ['mangle', 'filter']],
    [
      'other prompts',
      `user@h ~ $ sudo iptables -nL -t raw\n${chain('OUTPUT')}[root@h ~]# iptables --table=nat --list\n${nat}`,
      ['raw', 'nat'],
    ],
    ['service iptables status', `Table: nat\n${nat}Table: filter\n${filter}`, ['nat', 'filter']],
  ])('%s', (_, text, tables) => {
    expect([...read(text).tables.keys()]).toEqual(tables);
  });

  it('is assumed aloud', () => {
    const { warnings } = readRules(nat, { file: 'pasted', family: 4, unsupported: 'stop' });
    expect(warnings.map(({ code }) => code)).toEqual(['LISTING_TABLE_ASSUMED']);
    expect(
      readRules(`# iptables -t nat -L\n${nat}`, { file: 'pasted', family: 4, unsupported: 'stop' }).warnings,
    ).toEqual([]);
  });

  it('can be stated', () => {
    expect([...read(chain('PREROUTING'), 'mangle').tables.keys()]).toEqual(['mangle']);
  });
});

describe('as blogs show it', () => {
  const lines = [
    '$ iptables -L',
    'Chain INPUT (policy ACCEPT)',
    PLAIN,
    'DROP all -- 10.0.0.0/8 anywhere',
    '',
    'Chain FORWARD (policy DROP)',
    PLAIN,
  ];
  const rule = ['[0:0] -A INPUT -s 10.0.0.0/8 -j DROP'];
  const own = `Chain PREROUTING (policy ACCEPT)\n${PLAIN}`;

  it.each([
    ['lines numbered', lines.map((line, i) => `${i + 1}  ${line}`)],
    ['lines numbered with colons', lines.map((line, i) => `${String(i + 1).padStart(3)}: ${line}`)],
    ['quoted', lines.map((line) => `> ${line}`)],
    ['indented', lines.map((line) => `    ${line}`)],
    ['with DOS line ends', lines.map((line) => `${line}\r`)],
    ['in a fenced block of prose', ['Here are my rules:', '', '```', ...lines, '```', '', 'Why is that?']],
    ['every other line blank', lines.flatMap((line) => [line, ''])],
    ['a prompt waiting below', [...lines, '$']],
    ['prompts between rows and head', [...lines.slice(0, 4), '$ ', ...lines.slice(5), 'root@host:~# ']],
    [
      'another command below a row',
      [...lines.slice(0, 4), '[root@host ~]# uptime', ' 05:19:24 up 8:10', ...lines.slice(5)],
    ],
    [
      'one listing numbered, another not',
      [...lines.map((line, i) => `${i + 1}\t${line}`), '# iptables -t nat -L', own],
    ],
  ])('%s', (_, pasted) => {
    expect(rulesOf(pasted.join('\n'))).toEqual(rule);
  });

  it('a prompt alone is nothing to speak of, a command is', () => {
    const codes = (end: string): string[] =>
      readRules([...lines, end].join('\n'), { file: 'pasted', family: 4, unsupported: 'stop' }).warnings.map(
        ({ code }) => code,
      );
    expect(codes('root@host:~# ')).not.toContain('LISTING_OTHER_TEXT');
    expect(codes('root@host:~# exit')).toContain('LISTING_OTHER_TEXT');
  });

  it('says what it passed over', () => {
    const text = ['Here are my rules:', '', ...lines, '', 'Why is that?'].join('\n');
    const { warnings } = readRules(text, { file: 'pasted', family: 4, unsupported: 'stop' });
    expect(warnings[0]).toMatchObject({ code: 'LISTING_OTHER_TEXT', line: 1 });
  });
});

describe('iptables -S', () => {
  it('of several tables', () => {
    const text = `# iptables -t nat -S
-P PREROUTING ACCEPT
-P POSTROUTING ACCEPT
-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
# iptables -S
-P INPUT DROP
-A INPUT -i lo -j ACCEPT
`;
    expect([...read(text).tables.keys()]).toEqual(['nat', 'filter']);
    expect(rulesOf(text)).toEqual([
      '[0:0] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '[0:0] -A INPUT -i lo -j ACCEPT',
    ]);
  });

  it('with counters, the table not stated', () => {
    const text = '-P PREROUTING ACCEPT -c 5 300\n-A PREROUTING -p tcp -c 7 420 -j REDIRECT --to-ports 80\n';
    expect(printRules(read(text), { counters: true })).toContain(
      ':PREROUTING ACCEPT [5:300]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n[7:420] -A PREROUTING -p tcp -j REDIRECT --to-ports 80',
    );
  });
});

describe('what cannot be read is refused with its place', () => {
  it.each([
    ['ACCEPT all -- web1.example.com anywhere', 'RULES_LISTING_NAME', 3, 15],
    ['ACCEPT all -- anywhere', 'RULES_LISTING_ROW', 3, 1],
    ['ACCEPT all -- anywhere anywhere gibberish 5', 'RULES_LISTING_UNKNOWN', 3, 33],
    ['ACCEPT tcp -- anywhere anywhere tcp dpt:nosuchservice', 'RULES_BAD_PORT', 3, 32],
    ['DOCKER all -- anywhere anywhere', 'RULES_UNKNOWN_TARGET', 3, 1],
    ['NETMAP all -- anywhere anywhere to:10.0.0.0/8', 'RULES_WRONG_TABLE', 3, 1],
  ])('%s: %s', (text, code, line, column) => {
    const error = errorOf(() => read(row(text), 'filter'));
    expect({ code: error?.code, line: error?.place.line, column: error?.place.column }).toEqual({ code, line, column });
  });

  it('a listing without the names of its columns', () => {
    expect(errorOf(() => read('Chain INPUT (policy ACCEPT)\nACCEPT all -- anywhere anywhere\n'))?.code).toBe(
      'RULES_LISTING_COLUMNS',
    );
  });

  it('a table that comes twice', () => {
    const text = `Chain INPUT (policy ACCEPT)\n${PLAIN}\n\n`;
    expect(errorOf(() => read(text + text))?.code).toBe('RULES_LISTING_TWICE');
  });

  it('names such as those of built-in properties are chains like others', () => {
    const text = `Chain INPUT (policy ACCEPT)\n${PLAIN}\n__proto__ all -- anywhere anywhere\n\nChain __proto__ (1 references)\n${PLAIN}\n`;
    expect(rulesOf(text)).toEqual(['[0:0] -A INPUT -j __proto__']);
  });
});

function errorOf(run: () => unknown): NatreplayError | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof NatreplayError) return error;
    throw error;
  }
  return undefined;
}
