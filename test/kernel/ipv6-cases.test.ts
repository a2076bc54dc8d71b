/** IPv6 packets that random traffic seldom makes, through natreplay and the running kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { OneGateway, type Sent } from './onegateway.js';
import { icmp, ip, tcp, udp } from './packets.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `IPv6 cases (${requirement.reason})` : 'IPv6 cases';

const STATES = ['INVALID', 'NEW', 'ESTABLISHED', 'RELATED', 'UNTRACKED']
  .map((state) => `-A PREROUTING -m conntrack --ctstate ${state}\n`)
  .join('');
const MANGLE = `*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n${STATES}COMMIT\n`;
const nat = (...rules: string[]): string =>
  `${MANGLE}*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`;
const MASQUERADE = nat('POSTROUTING -o wan -j MASQUERADE');

const PC = '[fd00:1::10]:4000';
const SERVER = '[2001:db8:9::9]:80';
const PUBLIC = '[2001:db8:5::5]:4000';
const query = udp({ src: PC, dst: SERVER, payload: 'question' });
const translated = udp({ src: PUBLIC, dst: SERVER, payload: 'question', ttl: 63 });
const options = Buffer.from('0000010400000000', 'hex');

/** Target, destination and an option that holds the packet (RFC 4861 section 4.5). */
function redirect(
  about: Uint8Array,
  fields: { src: string; dst: string; ttl?: number; code?: number },
  option = 4,
): Uint8Array {
  const padded = Buffer.concat([
    Buffer.from([option, 0, 0, 0, 0, 0, 0, 0]),
    about,
    Buffer.alloc((8 - (about.length % 8)) % 8),
  ]);
  padded[1] = padded.length / 8;
  return icmp({ ttl: 255, ...fields, type: 137, payload: Buffer.concat([Buffer.alloc(32), padded]) });
}

const error = (
  type: number,
  code: number,
  about: Uint8Array,
  src = '2001:db8:77::1',
  dst = '2001:db8:5::5',
): Uint8Array => icmp({ src, dst, type, code, payload: about });

const CASES: readonly (readonly [name: string, rules6: string, packets: readonly Sent[]])[] = [
  [
    'a port drawn in vain: what DNAT --random leads to collides behind SNAT to one port',
    nat(
      'PREROUTING -i lan -p udp -j DNAT --to-destination [2001:db8:9::9]:8081-8084 --random',
      'POSTROUTING -o wan -p udp -j SNAT --to-source [2001:db8:5::7]:4002',
    ),
    Array.from(
      { length: 24 },
      (_, n): Sent => ['lan', udp({ src: `[fd00:1::${n + 10}]:4000`, dst: '[2001:db8::1]:53' })],
    ),
  ],
  [
    'a redirect about a translated connection',
    MASQUERADE,
    [
      ['lan', query],
      ['wan', redirect(translated, { src: 'fe80::99', dst: '2001:db8:5::5' })],
    ],
  ],
  [
    'a redirect about a connection of its own',
    nat(),
    [
      ['wan', udp({ src: '[2001:db8:9::9]:1', dst: '[2001:db8:5::5]:2' })],
      [
        'wan',
        redirect(udp({ src: '[2001:db8:5::5]:2', dst: '[2001:db8:9::9]:1' }), {
          src: 'fe80::99',
          dst: '2001:db8:5::5',
        }),
      ],
      [
        'wan',
        redirect(udp({ src: '[2001:db8:9::9]:1', dst: '[2001:db8:5::5]:2' }), {
          src: 'fe80::99',
          dst: '2001:db8:9::9',
        }),
      ],
    ],
  ],
  [
    'redirects that a host may not heed',
    MASQUERADE,
    [
      ['lan', query],
      ['wan', redirect(translated, { src: 'fe80::99', dst: '2001:db8:5::5', ttl: 254 })],
      ['wan', redirect(translated, { src: '2001:db8:5::fe', dst: '2001:db8:5::5' })],
      ['wan', redirect(translated, { src: 'fe80::99', dst: '2001:db8:5::5', code: 1 })],
      ['wan', redirect(translated, { src: 'fe80::99', dst: '2001:db8:5::5' }, 2)],
      ['wan', icmp({ src: 'fe80::99', dst: '2001:db8:5::5', type: 137, ttl: 255, payload: Buffer.alloc(32) })],
      ['wan', icmp({ src: 'fe80::99', dst: '2001:db8:5::5', type: 137, ttl: 255, payload: Buffer.alloc(20) })],
    ],
  ],
  [
    'errors about packets with extension headers',
    MASQUERADE,
    [
      ['lan', udp({ src: PC, dst: SERVER, extensions: [[60, options]] })],
      ['wan', error(4, 1, udp({ src: PUBLIC, dst: SERVER, extensions: [[60, options]], ttl: 63 }))],
      [
        'wan',
        icmp({
          src: '2001:db8:77::1',
          dst: '2001:db8:5::5',
          type: 1,
          payload: translated,
          extensions: [[60, options]],
        }),
      ],
    ],
  ],
  [
    'errors whose packet was cut',
    MASQUERADE,
    [
      ['lan', query],
      ...[0, 4, 7, 8, 20, 40, 43, 44, 46, 47, 48, 52, 56].map(
        (length): Sent => ['wan', error(1, 4, translated.subarray(0, length))],
      ),
      ['lan', tcp({ src: PC, dst: SERVER, flags: 'S' })],
      ...[44, 47, 48, 52, 56, 59, 60].map(
        (length): Sent => [
          'wan',
          error(2, 0, tcp({ src: PUBLIC, dst: SERVER, flags: 'S', ttl: 63 }).subarray(0, length)),
        ],
      ),
      ['lan', icmp({ src: 'fd00:1::10', dst: '2001:db8:9::9', type: 128, icmpId: 77 })],
      ...[44, 47, 48].map(
        (length): Sent => [
          'wan',
          error(
            3,
            0,
            icmp({ src: '2001:db8:5::5', dst: '2001:db8:9::9', type: 128, icmpId: 77, ttl: 63 }).subarray(0, length),
          ),
        ],
      ),
    ],
  ],
  [
    'errors about errors, about nothing, to others, with a wrong checksum',
    MASQUERADE,
    [
      ['lan', query],
      ['wan', error(1, 4, error(1, 4, translated, '2001:db8:5::5', '2001:db8:9::9'))],
      ['wan', error(1, 4, udp({ src: PUBLIC, dst: '[2001:db8:9::9]:81' }))],
      ['wan', error(1, 4, translated, '2001:db8:77::1', 'fd00:1::10')],
      ['wan', icmp({ src: '2001:db8:77::1', dst: '2001:db8:5::5', type: 1, payload: translated, badChecksum: true })],
      ['wan', error(100, 0, translated)],
      ['wan', error(127, 0, translated)],
    ],
  ],
  [
    'errors about fragments',
    MASQUERADE,
    [
      ['lan', query],
      [
        'wan',
        error(
          1,
          4,
          ip(
            { src: '2001:db8:5::5', dst: '2001:db8:9::9', extensions: [[44, Buffer.from('0000000100000001', 'hex')]] },
            17,
            translated.subarray(40),
          ),
        ),
      ],
      [
        'wan',
        error(
          1,
          4,
          ip(
            { src: '2001:db8:5::5', dst: '2001:db8:9::9', extensions: [[44, Buffer.from('0000000900000001', 'hex')]] },
            17,
            translated.subarray(40),
          ),
        ),
      ],
    ],
  ],
  [
    'errors from inside about what DNAT let in',
    nat('PREROUTING -i wan -p udp -j DNAT --to-destination [fd00:1::20]:53'),
    [
      ['wan', udp({ src: SERVER, dst: '[2001:db8:5::5]:5300' })],
      ['lan', error(1, 4, udp({ src: SERVER, dst: '[fd00:1::20]:53', ttl: 63 }), 'fd00:1::20', '2001:db8:9::9')],
      [
        'lan',
        error(
          3,
          0,
          udp({ src: SERVER, dst: '[fd00:1::20]:53', ttl: 63, noChecksum: true }),
          'fd00:1::fe',
          '2001:db8:9::9',
        ),
      ],
    ],
  ],
  [
    'protocols that only have addresses, twice from different machines',
    MASQUERADE,
    [
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 50, Buffer.alloc(12))],
      ['lan', ip({ src: 'fd00:1::11', dst: '2001:db8:9::9' }, 50, Buffer.alloc(12))],
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 4, Buffer.alloc(20))],
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 33, Buffer.alloc(16))],
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 47, Buffer.alloc(12))],
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 47, Buffer.alloc(6))],
      ['lan', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 253, Buffer.alloc(0))],
    ],
  ],
  [
    'SNAT in INPUT, and REDIRECT of a link-local destination',
    nat(
      'PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353',
      'INPUT -p tcp -j SNAT --to-source 2001:db8:5::99',
    ),
    [
      ['wan', tcp({ src: SERVER, dst: '[2001:db8:5::5]:22', flags: 'S' })],
      ['lan', udp({ src: PC, dst: '[fe80::77]:53' })],
      ['lan', udp({ src: '[fe80::10]:4000', dst: '[ff02::1]:53' })],
    ],
  ],
  [
    'a translation back to what it was: its second packet is a reply',
    nat('PREROUTING -j NETMAP --to 2001:db8:5::/64', 'POSTROUTING -j NETMAP --to fd00:1::/64'),
    [
      ['wan', ip({ src: '2001:db8:5::16', dst: 'fd00:1::16' }, 50, Buffer.alloc(12))],
      ['wan', ip({ src: '2001:db8:5::16', dst: 'fd00:1::16' }, 50, Buffer.alloc(12))],
    ],
  ],
];

describe.skipIf(requirement.skip)(title, () => {
  const gateway = new OneGateway();
  afterAll(() => gateway.close());

  it.each(CASES)('%s', async (_name, rules6, sent) => {
    expect(await gateway.ask(rules6, sent)).toEqual([]);
  });
});
