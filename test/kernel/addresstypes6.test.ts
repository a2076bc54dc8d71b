/** `-m addrtype` in IPv6, which has no types of addresses of its own but asks the routes: each type, kernel against natreplay. */
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFile } from '../../src/host/hostschema.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { link } from './hosts.js';
import { OneGateway, type Sent } from './onegateway.js';
import { ip } from './packets.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `IPv6 address types (${requirement.reason})` : 'IPv6 address types';

const ADDR = [link('lan', 'fd00:1::1/64'), link('wan', '2001:db8:5::5/64')];
const CONNECTED = [
  { dst: 'fd00:1::/64', dev: 'lan', protocol: 'kernel' },
  { dst: '2001:db8:5::/64', dev: 'wan', protocol: 'kernel' },
  { dst: '2001:db8:66::/48', dev: 'wan', gateway: '2001:db8:5::1' },
  { dst: '2001:db8:67::/48', dev: 'lan', gateway: 'fd00:1::9' },
  { type: 'unreachable', dst: '2001:db8:66:6::/64', dev: 'lo' },
  { type: 'blackhole', dst: '2001:db8:66:7::/64', dev: 'lo' },
  { type: 'prohibit', dst: '2001:db8:66:8::/64', dev: 'lo' },
];
const HOSTS: readonly (readonly [name: string, host: HostFile])[] = [
  [
    'with a default route',
    { addr: ADDR, route6: [...CONNECTED, { dst: 'default', gateway: '2001:db8:5::1', dev: 'wan' }] },
  ],
  ['without a default route', { addr: ADDR, route6: CONNECTED }],
];

const TYPES = ['UNSPEC', 'UNICAST', 'LOCAL', 'MULTICAST', 'ANYCAST', 'UNREACHABLE'];
const SETS = [
  ...TYPES,
  'LOCAL,UNREACHABLE',
  'UNICAST,UNREACHABLE',
  'MULTICAST,LOCAL,UNREACHABLE',
  'UNSPEC,UNREACHABLE',
];
const ADDRESSES = [
  '::',
  '::1',
  '::ffff:192.0.2.7',
  'fd00:1::1',
  'fd00:1::10',
  'fd00:1::',
  '2001:db8:5::5',
  '2001:db8:5::77',
  '2001:db8:9::9',
  '2001:db8:66::9',
  '2001:db8:66:6::9',
  '2001:db8:66:7::9',
  '2001:db8:66:8::9',
  '2001:db8:67::9',
  'fe80::9',
  'ff01::1',
  'ff02::1',
  'ff02::1:ff12:3456',
  'ff05::2',
  'ff0e::99',
];

/** A rule for each address and set of types: their counters say what the address was taken for. */
function rules(limit: string): string {
  const lines = ADDRESSES.flatMap((address) =>
    SETS.flatMap((types) => [
      `-A PREROUTING -d ${address}/128 -m addrtype --dst-type ${types}${limit}`,
      `-A PREROUTING -s ${address}/128 -m addrtype ! --src-type ${types}${limit}`,
    ]),
  );
  return `*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${lines.join('\n')}\nCOMMIT\n`;
}

const SENT = ADDRESSES.flatMap((address): readonly Sent[] => [
  ['lan', ip({ src: 'fd00:1::20', dst: address }, 253, Buffer.alloc(8))],
  ['wan', ip({ src: '2001:db8:9::20', dst: address }, 253, Buffer.alloc(8))],
  ['lan', ip({ src: address, dst: '2001:db8:9::21' }, 253, Buffer.alloc(8))],
]);

describe.skipIf(requirement.skip).each(HOSTS)(`${title}, %s`, (_name, host) => {
  const gateway = new OneGateway(host);
  afterAll(() => gateway.close());

  it.each(['', ' --limit-iface-in'])('of any interface, or of one:%s', async (limit) => {
    expect(await gateway.ask(rules(limit), SENT)).toEqual([]);
  });
});
