/** Rules of every kind that a listing can hold, made at random; legacy and nft list them alike. */
import fc from 'fast-check';

const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));
const network = fc.oneof(
  address,
  fc.tuple(address, fc.integer({ min: 1, max: 32 })).map(([base, length]) => `${base}/${length}`),
  fc.constantFrom('127.0.0.0/8', '127.0.0.1', '169.254.0.0/16', '10.0.0.1/255.0.0.255', '0.0.0.0/8', '224.0.0.0/4'),
);
const bang = fc.constantFrom('', '! ');
const port = fc.oneof(fc.constantFrom(22, 53, 80, 443, 2000, 3306, 5672), fc.integer({ min: 1, max: 65535 }));
const ports = fc.oneof(
  port.map(String),
  fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)}:${Math.max(a, b)}`),
);
const interfaceName = fc.constantFrom('eth0', 'br-+', 'docker0', 'lo', 'a-very-long-one');
const mark = fc.integer({ min: 1, max: 0xffffffff }).map((value) => `0x${value.toString(16)}`);
const comment = fc
  .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 })
  .filter((text) => !/^ | $| {2}/.test(text))
  .map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const flags = fc
  .subarray(['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'], { minLength: 1 })
  .chain((mask) => fc.subarray(mask).map((set) => `${mask.join(',')} ${set.join(',') || 'NONE'}`));

const tcp = fc
  .tuple(
    fc.option(
      fc.tuple(bang, ports).map(([not, value]) => `${not}--sport ${value}`),
      { nil: '' },
    ),
    fc.option(
      fc.tuple(bang, ports).map(([not, value]) => `${not}--dport ${value}`),
      { nil: '' },
    ),
    fc.option(
      fc.tuple(bang, flags).map(([not, value]) => `${not}--tcp-flags ${value}`),
      { nil: '' },
    ),
  )
  .map((parts) => `-p tcp -m tcp ${parts.join(' ')}`);
const multiport = fc
  .tuple(bang, fc.constantFrom('sports', 'dports', 'ports'), fc.uniqueArray(port, { minLength: 1, maxLength: 15 }))
  .map(([not, which, list]) => `-p udp -m multiport ${not}--${which} ${list.join(',')}`);
const icmp = fc
  .tuple(bang, fc.constantFrom('any', '8', '0', '3', '3/1', '11/0', '200', '200/3'))
  .map(([not, type]) => `-p icmp -m icmp ${type === 'any' ? '' : not}--icmp-type ${type}`);
const protocol = fc
  .tuple(bang, fc.constantFrom('gre', '4', '200', 'sctp', '58'))
  .map(([not, name]) => `${not}-p ${name}`);

/** Two of them in one rule are listed as one. Without -n an address of zeros is anywhere here, whatever its mask was. */
const conntrack = fc
  .tuple(
    bang,
    fc.subarray(['NEW', 'RELATED', 'ESTABLISHED', 'INVALID'], { minLength: 1 }),
    fc.constantFrom('', ' --ctorigdst 127.0.0.0/8', ' ! --ctorigsrc 10.1.2.3 --ctorigdstport 80 --ctdir REPLY'),
  )
  .map(([not, states, more]) => `-m conntrack ${not}--ctstate ${states.join(',')}${more}`);

const matches = [
  conntrack,
  fc.constantFrom('NEW', 'RELATED,ESTABLISHED').map((states) => `-m state --state ${states}`),
  fc
    .tuple(bang, fc.constantFrom('LOCAL', 'UNICAST,BROADCAST'))
    .map(([not, type]) => `-m addrtype ${not}--dst-type ${type}`),
  comment.map((text) => `-m comment --comment ${text}`),
  fc.tuple(bang, mark, mark).map(([not, value, mask]) => `-m mark ${not}--mark ${value}/${mask}`),
  fc.tuple(bang, mark).map(([not, value]) => `-m connmark ${not}--mark ${value}`),
  fc
    .tuple(bang, address, address)
    .map(([not, from, to]) => `-m iprange ${not}--src-range ${[from, to].sort(byNumber).join('-')}`),
  fc
    .tuple(fc.integer({ min: 1, max: 3000 }), fc.constantFrom('sec', 'min', 'hour', 'day'))
    .map(([count, unit]) => `-m limit --limit ${count}/${unit} --limit-burst 7`),
  fc.integer({ min: 1, max: 99 }).map((percent) => `-m statistic --mode random --probability 0.${percent}`),
  fc
    .tuple(bang, fc.integer({ min: 1, max: 50 }))
    .map(([not, n]) => `-m statistic --mode nth ${not}--every ${n} --packet 0`),
  fc.tuple(bang, ports).map(([not, range]) => `-m length ${not}--length ${range}`),
  fc.constantFrom('--ttl-eq 5', '! --ttl-eq 6', '--ttl-lt 7', '--ttl-gt 64').map((test) => `-m ttl ${test}`),
  fc.constantFrom('unicast', 'broadcast', 'multicast').map((type) => `-m pkttype --pkt-type ${type}`),
];

function byNumber(a: string, b: string): number {
  const value = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return value(a) - value(b);
}

const anywhere = fc.constantFrom(
  '',
  '-j ACCEPT',
  '-j RETURN',
  '-j u',
  '-g u',
  '-j LOG --log-prefix "a \'b: " --log-level 5 --log-uid',
);
const targets = {
  filter: fc.oneof(
    anywhere,
    fc.constantFrom('-j DROP', '-j REJECT --reject-with icmp-host-prohibited', '-j NFLOG --nflog-group 3'),
  ),
  nat: anywhere,
  mangle: fc.oneof(
    anywhere,
    fc.tuple(mark, mark).map(([value, mask]) => `-j MARK --set-xmark ${value}/${mask}`),
    fc.constantFrom(
      '-j CONNMARK --save-mark',
      '-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff',
      '-j CHECKSUM --checksum-fill',
    ),
    mark.map((value) => `-j CONNMARK --set-xmark ${value}/0xffffffff`),
  ),
} as const;

export type GeneratedTable = keyof typeof targets;

const counter = fc.oneof(fc.integer({ min: 0, max: 99999 }), fc.integer({ min: 0, max: 2 ** 45 }));

/** A line of iptables-save -c in chain `t` of a table with an empty chain `u`. */
export function generatedRule(table: GeneratedTable): fc.Arbitrary<string> {
  const fixed = fc
    .tuple(
      fc.option(
        fc.tuple(bang, network).map(([not, value]) => `${not}-s ${value}`),
        { nil: '' },
      ),
      fc.option(
        fc.tuple(bang, network).map(([not, value]) => `${not}-d ${value}`),
        { nil: '' },
      ),
      fc.option(
        fc.tuple(bang, interfaceName).map(([not, value]) => `${not}-i ${value}`),
        { nil: '' },
      ),
      fc.option(
        fc.tuple(bang, interfaceName).map(([not, value]) => `${not}-o ${value}`),
        { nil: '' },
      ),
    )
    .map((parts) => parts.join(' '));
  const ported = fc.tuple(
    fixed,
    fc.oneof(tcp, multiport, icmp, protocol, fc.constant('')),
    fc.subarray(
      matches.map((_, i) => i),
      { maxLength: 3 },
    ),
    fc.tuple(...matches),
    targets[table],
  );
  const plain = ported.map(([head, what, chosen, texts, target]) => [
    head,
    what,
    ...chosen.map((i) => texts[i]),
    target,
  ]);
  const translated =
    table === 'nat'
      ? fc.tuple(
          fixed,
          tcp,
          fc.oneof(translation, fc.constantFrom('-j REDIRECT --to-ports 8080', '-j NETMAP --to 10.1.0.0/16')),
        )
      : plain;
  return fc.tuple(counter, counter, fc.oneof(plain, translated)).map(
    ([packets, bytes, parts]) =>
      `[${packets}:${bytes}] -A t ${parts
        .join(' ')
        .replace(/ +(?=([^"]*"[^"]*")*[^"]*$)/g, ' ')
        .trim()}`,
  );
}

const translation = fc
  .tuple(address, port, fc.constantFrom('', ' --random', ' --persistent'))
  .map(([to, at, how]) => `-j DNAT --to-destination ${to}:${at}${how}`);

/** A file of the table around such rules. */
export function fileOf(table: GeneratedTable, rules: readonly string[]): string {
  return [`*${table}`, ':t - [0:0]', ':u - [0:0]', ...rules, 'COMMIT', ''].join('\n');
}
