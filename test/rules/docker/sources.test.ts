/** Options, compose files and inspected objects: what becomes of them, and where mistakes are seen. */
import { describe, expect, it } from 'vitest';
import { formatAddress, formatPrefix } from '../../../src/host/address.js';
import { readCompose } from '../../../src/rules/docker/compose.js';
import { readInspected } from '../../../src/rules/docker/inspect.js';
import { defaultNetwork } from '../../../src/rules/docker/optiontext.js';
import type { Requests } from '../../../src/rules/docker/requests.js';
import { type Settled, settle } from '../../../src/rules/docker/settle.js';
import { type DockerCase, settledCase } from './cases.js';

function settled({ networks, containers }: Requests): Settled {
  const docker0 = networks.some(({ name }) => name === 'bridge')
    ? []
    : [defaultNetwork({ icc: true, masquerade: true })];
  const options = { style: '28', userlandProxy: true, hostAddress: undefined, avoid: [] } as const;
  return settle([...docker0, ...networks], containers, options);
}

/** `web 172.18.0.2@br0 80->80/tcp` */
function shown({ containers }: Settled): string[] {
  return containers.flatMap(({ name, endpoints }) =>
    endpoints.map(({ network, addresses, ports }) => {
      const own = [...addresses.values()].map(({ family, words }) => formatAddress(family, words)).join(',');
      const published = ports.map(({ family, hostPort, containerPort, protocol, hostAddress: on }) => {
        const where = on === undefined ? '' : `${formatAddress(on.family, on.words)}:`;
        return ` ${family === 6 ? '6:' : ''}${where}${hostPort}->${containerPort}/${protocol}`;
      });
      return `${name} ${own}@${network.name}${published.join('')}`;
    }),
  );
}

const subnets = ({ networks }: Settled): string[] =>
  networks.flatMap(({ name, bridge, sides }) =>
    [...sides].map(
      ([family, { subnet }]) => `${name} ${bridge} ${formatPrefix(family, subnet.words, subnet.prefixLength)}`,
    ),
  );

describe('what is not stated', () => {
  const of = (words: readonly string[], networks: readonly string[] = [], more: Partial<DockerCase> = {}): Settled =>
    settledCase({ style: '28', words, networks, ...more });

  it('subnets: the next free one of the pools, whatever others state', () => {
    expect(subnets(of([], ['a', 'b=172.19.0.0/16', 'c']))).toEqual([
      'bridge docker0 172.17.0.0/16',
      'a br-ca978112ca1b 172.18.0.0/16',
      'b br-3e23e8160039 172.19.0.0/16',
      'c br-2e7d2c03a950 172.20.0.0/16',
    ]);
  });

  it('addresses: the next free one, whatever others ask for', () => {
    expect(shown(of(['a', 'b=172.17.0.3', 'c', 'd@n'], ['n']))).toEqual([
      'a 172.17.0.2@bridge',
      'b 172.17.0.3@bridge',
      'c 172.17.0.4@bridge',
      'd 172.18.0.2@n',
    ]);
  });

  it('host ports: the next free one, and of a range the first', () => {
    const { warnings, ...rest } = of(['a', '-p 80', '-p 8000-8001:70', 'b', '-p 81', '-p 8000-8001:70']);
    expect(shown({ ...rest, warnings })).toEqual([
      'a 172.17.0.2@bridge 8000->70/tcp 32768->80/tcp',
      'b 172.17.0.3@bridge 8001->70/tcp 32769->81/tcp',
    ]);
    expect(warnings).toEqual([
      "container a: 80/tcp is published at a host port of Docker's choice; 32768 is assumed",
      "container b: 81/tcp is published at a host port of Docker's choice; 32769 is assumed",
    ]);
  });

  it('IPv6: published there too, unless an address says otherwise', () => {
    const words = ['a', '-p 80:80', '-p 0.0.0.0:81:81', '-p [::]:82:82', '-p [::1]:83:83'];
    expect(shown(of(words, [], { docker0: { subnet6: 'fd00::/64' } }))).toEqual([
      'a 172.17.0.2,fd00::2@bridge 80->80/tcp 6:80->80/tcp 81->81/tcp 6:82->82/tcp 6:::1:83->83/tcp',
    ]);
    expect(of(['a', '-p [::1]:80:80']).warnings).toEqual([
      'container a: [::1]:80:80/tcp: the container has no IPv6 address; docker-proxy carries it over, without rules',
    ]);
  });

  it('host and none: no rules, and that is said', () => {
    const { containers, warnings } = of(['a@host', '-p 80:80', 'b@none']);
    expect(containers).toEqual([]);
    expect(warnings).toEqual([
      "container a is on the host's own network: Docker writes no rules for it; what it publishes is ignored",
      'container b has no network: Docker writes no rules for it',
    ]);
  });

  it.each<[string, readonly string[], readonly string[], string]>([
    [
      'one port twice',
      ['a', '-p 80:80', 'b', '-p 80:81'],
      [],
      '-p 80:81: container b: host port 80/tcp is published already by container a',
    ],
    ['one port on all addresses and on one', ['a', '-p 80:80', 'b', '-p 127.0.0.1:80:81'], [], 'published already'],
    ['a range that is used up', ['a', '-p 80:80', 'b', '-p 80-80:1'], [], 'published already'],
    [
      'unknown network',
      ['a@frnt'],
      ['front'],
      '--container a@frnt: container a: there is no network frnt; did you mean front?',
    ],
    ['address outside the subnet', ['a=10.0.0.1'], [], "10.0.0.1 is not in the network's subnet 172.17.0.0/16"],
    ['the gateway’s address', ['a=172.17.0.1'], [], '172.17.0.1 is taken by the gateway'],
    ['an address twice', ['a=172.17.0.9', 'b=172.17.0.9'], [], '172.17.0.9 is taken by container a'],
    ['the subnet itself', ['a=172.17.255.255'], [], '172.17.255.255 stands for the subnet itself'],
    ['IPv6 on a network without', ['a=fd00::9'], [], 'network bridge has no IPv6; enable IPv6 on it'],
    [
      'overlapping subnets',
      [],
      ['a=10.0.0.0/8', 'b=10.1.0.0/16'],
      'overlaps with 10.0.0.0/8 of network a; choose another, e.g. 172.18.0.0/16',
    ],
    ['a subnet of docker0', [], ['a=172.17.5.0/24'], 'overlaps with 172.17.0.0/16 of network bridge'],
    ['one bridge twice', [], ['a,bridge=br0', 'b,bridge=br0'], 'networks a and b are both on br0'],
    ['a network twice', [], ['a', 'a'], 'there are two networks a'],
    ['a container twice', ['a', 'a'], [], 'there are two containers a'],
    ['a full network', ['a@n', 'b@n'], ['n=10.0.0.0/30'], 'no address of 10.0.0.0/30 is left'],
    ['isolated, but not internal', [], ['a,gateway-mode=isolated'], 'gateway mode isolated is for internal networks'],
    ['no gateway mode', [], ['a,gateway-mode=rooted'], '"rooted" is no gateway mode; did you mean routed?'],
    ['no option', [], ['a,intrnal'], 'did you mean internal?'],
    ['a name too long', [], ['a,bridge=a-very-long-name'], 'is no interface name'],
    ['a gateway without subnet', [], ['a,gateway=10.0.0.1'], 'a gateway or a range without the subnet'],
    ['-p before its container', ['-p 80:80', 'a'], [], 'no container stands before it'],
    ['no name', ['@front'], [], '"" is no name of a container'],
  ])('%s is refused', (_, words, networks, message) => {
    expect(() => of(words, networks)).toThrow(message);
  });

  it('gateway modes are of 28', () => {
    expect(() => settledCase({ style: 'classic', words: [], networks: ['a,gateway-mode=routed'] })).toThrow(
      'add --style 28',
    );
  });
});

const compose = (text: string, variables: Record<string, string> = {}): Requests =>
  readCompose(text, 'shop/compose.yml', { environment: (name) => variables[name] });

const SHOP = `
name: shop
x-common: &common
  image: shop
services:
  web:
    <<: *common
    depends_on: [api]
    ports:
      - "80:80"
      - target: 53
        published: "\${DNS_PORT:-5353}"
        host_ip: 127.0.0.1
        protocol: udp
    networks: [front, back]
  api:
    <<: *common
    networks:
      back:
        ipv4_address: 172.30.0.7
  db:
    <<: *common
    scale: 2
    networks: [hidden]
  monitor:
    <<: *common
    network_mode: host
  debug:
    profiles: [debug]
    image: debug
networks:
  front:
    enable_ipv6: true
    ipam:
      config:
        - subnet: 172.29.0.0/16
          gateway: 172.29.0.254
        - subnet: fd00:29::/64
  back:
    driver_opts:
      com.docker.network.bridge.name: br-back
    ipam: { config: [{ subnet: 172.30.0.0/16 }] }
  hidden: { internal: true }
  unused:
`;

/** Ten to the sixth of x, by aliases of aliases. */
const MANY_ALIASES = [
  `a: &a [${'x,'.repeat(9)}x]`,
  ...['ab', 'bc', 'cd', 'de', 'ef'].map(([below, name]) => `${name}: &${name} [${`*${below},`.repeat(9)}*${below}]`),
  'services: *f',
].join('\n');

describe('compose files', () => {
  it('services in the order they start, on their networks', () => {
    const requests = compose(SHOP);
    const all = settled(requests);
    expect(shown(all)).toEqual([
      'shop-api-1 172.30.0.7@shop_back',
      'shop-web-1 172.29.0.1,fd00:29::2@shop_front 6:80->80/tcp',
      'shop-web-1 172.30.0.2@shop_back 127.0.0.1:5353->53/udp 80->80/tcp',
      'shop-db-1 172.18.0.2@shop_hidden',
      'shop-db-2 172.18.0.3@shop_hidden',
    ]);
    expect(all.networks.map(({ name, bridge, internal }) => [name, bridge, internal])).toEqual([
      ['bridge', 'docker0', false],
      ['shop_front', 'br-309e68ba9045', false],
      ['shop_back', 'br-back', false],
      ['shop_hidden', 'br-162537f4d246', true],
    ]);
    expect([...requests.warnings, ...all.warnings]).toEqual([
      'service debug is of a profile and left out',
      "container shop-monitor-1 is on the host's own network: Docker writes no rules for it",
    ]);
  });

  it('without networks: one of the project, which is named after its folder', () => {
    const all = settled(compose('services:\n  web:\n    image: x\n    ports: [8080:80]\n'));
    expect(shown(all)).toEqual(['shop-web-1 172.18.0.2@shop_default 8080->80/tcp']);
  });

  it.each<[string, Record<string, string>, string]>([
    ['$PORT:80', { PORT: '81' }, '81->80/tcp'],
    [`\${PORT}:80`, { PORT: '81' }, '81->80/tcp'],
    [`\${PORT:-82}:80`, { PORT: '' }, '82->80/tcp'],
    [`\${PORT-82}:80`, {}, '82->80/tcp'],
    [`\${PORT:-\${OTHER:-83}}:80`, {}, '83->80/tcp'],
    [`80\${PORT:+80}:80`, { PORT: '1' }, '8080->80/tcp'],
  ])('fills in %s', (port, variables, expected) => {
    const text = `services:\n  web:\n    image: x\n    ports: ["${port}"]\n`;
    expect(shown(settled(compose(text, variables)))[0]).toContain(expected);
  });

  it.each<[string, string, string]>([
    ['YAML', 'services:\n  web:\n    ports: ["80:80"\n', 'shop/compose.yml:4:1: not YAML'],
    ['a tab', 'services:\n\tweb:\n', 'shop/compose.yml:2:1: not YAML: Tabs are not allowed as indentation'],
    [
      'a bad port',
      'services:\n  web:\n    ports: ["80:80", "70000:80"]\n',
      'compose.yml:3:22: 70000:80: 70000 is no host port',
    ],
    [
      'a bad long port',
      'services:\n  web:\n    ports:\n      - target: 80\n        published: 80a\n',
      'compose.yml:5:20: "80a" is no host port',
    ],
    [
      'a port without target',
      'services:\n  web:\n    ports:\n      - published: 80\n',
      'compose.yml:4:9: a port without target',
    ],
    [
      'a port taken',
      'services:\n  a:\n    ports: ["1:1"]\n  b:\n    ports: ["1:2"]\n',
      'compose.yml:5:13: 1:2: container shop-b-1: host port 1/tcp is published already by container shop-a-1',
    ],
    [
      'an unknown network',
      'services:\n  a:\n    networks: [frnt]\nnetworks:\n  front:\n',
      'compose.yml:3:16: there is no network frnt; did you mean front?',
    ],
    [
      'a clash of subnets',
      'services: {a: {networks: [n, m]}}\nnetworks:\n  n: {ipam: {config: [{subnet: 10.0.0.0/8}]}}\n  m: {ipam: {config: [{subnet: 10.0.0.0/16}]}}\n',
      'compose.yml:4:6: the subnet 10.0.0.0/16 overlaps with 10.0.0.0/8 of network shop_n',
    ],
    [
      'a bad subnet',
      'services: {a: {networks: [n]}}\nnetworks:\n  n: {ipam: {config: [{subnet: 10.0.0.0/33}]}}\n',
      'compose.yml:3:32: "10.0.0.0/33" is no subnet',
    ],
    [
      'an address elsewhere',
      'services: {a: {networks: {n: {ipv4_address: 10.1.0.1}}}}\nnetworks:\n  n: {ipam: {config: [{subnet: 10.0.0.0/16}]}}\n',
      "compose.yml:1:30: 10.1.0.1 is not in the network's subnet",
    ],
    [
      'a circle',
      'services:\n  a: {depends_on: [b]}\n  b: {depends_on: {a: {condition: x}}}\n',
      'compose.yml:2:19: services depend on each other: a -> b -> a',
    ],
    ['a missing variable', `services: {a: {ports: ["\${P:?say it}:80"]}}\n`, 'the variable P is not set: say it'],
    ['a stray $', `services: {a: {ports: ["\${P:80"]}}\n`, 'has a "$" that begins no variable'],
    ['no mapping', '- a\n', 'compose.yml:1:1: this is no compose file'],
    ['no services', 'networks:\n', 'there are no services'],
    ['an empty service', 'services:\n  a:\n', 'service a says nothing'],
    ['a network mode', 'services: {a: {network_mode: hots}}\n', '"hots" is no network mode; did you mean host?'],
    ['extends', 'services: {a: {extends: b}}\n', 'extends is not followed'],
    [
      'a driver option',
      'services: {a: {networks: [n]}}\nnetworks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: maybe}}}\n',
      '"maybe" is neither true nor false',
    ],
    ['many aliases', MANY_ALIASES, 'not YAML'],
  ])('%s: the error says where', (_, text, message) => {
    expect(() => settled(compose(text))).toThrow(message);
  });

  it('takes names that JavaScript uses itself', () => {
    const text = 'services:\n  __proto__: {ports: ["1:1"]}\n  constructor: {ports: ["2:2"]}\n';
    expect(shown(settled(compose(text))).map((one) => one.split(' ')[0])).toEqual([
      'shop-__proto__-1',
      'shop-constructor-1',
    ]);
  });
});

const NETWORKS = [
  { Name: 'host', Driver: 'host', IPAM: {} },
  {
    Name: 'front',
    Id: 'c0ffee123456789',
    Created: '2026-01-02T00:00:00Z',
    Driver: 'bridge',
    EnableIPv6: false,
    Internal: false,
    IPAM: { Config: [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }] },
    Options: { 'com.docker.network.bridge.enable_icc': 'false' },
    Containers: { abc: { Name: 'cache', IPv4Address: '172.18.0.9/16', IPv6Address: '' } },
  },
  {
    Name: 'bridge',
    Id: 'b0b0',
    Created: '2026-01-03T00:00:00Z',
    Driver: 'bridge',
    IPAM: { Config: [{ Subnet: '172.17.0.0/16', Gateway: '172.17.0.1' }] },
    Options: { 'com.docker.network.bridge.name': 'docker0' },
  },
];

const WEB = {
  Name: '/web',
  State: { Running: true },
  HostConfig: { NetworkMode: 'front', PortBindings: {} },
  NetworkSettings: {
    Ports: {
      '80/tcp': [
        { HostIp: '0.0.0.0', HostPort: '8080' },
        { HostIp: '::', HostPort: '8080' },
      ],
      '443/tcp': null,
    },
    Networks: { front: { NetworkID: 'c0ffee123456789', IPAddress: '172.18.0.4', GlobalIPv6Address: '' } },
  },
};

describe('inspected objects', () => {
  const inspect = (...objects: unknown[]): Requests =>
    readInspected([{ file: 'i.json', text: JSON.stringify(objects) }]);

  it('are as they are: IDs, addresses, ports; docker0 first', () => {
    const all = settled(inspect(WEB, ...NETWORKS));
    expect(subnets(all)).toEqual(['bridge docker0 172.17.0.0/16', 'front br-c0ffee123456 172.18.0.0/16']);
    expect(shown(all)).toEqual(['web 172.18.0.4@front 8080->80/tcp', 'cache 172.18.0.9@front']);
    expect(all.networks.map(({ icc }) => icc)).toEqual([true, false]);
  });

  it.each<[string, string, string]>([
    ['no JSON', '[{"Name": ]', 'i.json:1:11: not JSON'],
    ['something else', '[{"Id": 1}]', 'object 1 is neither a network nor a container'],
    ['another shape', '[{"Driver": "bridge", "IPAM": null, "Name": 7}]', 'object 1: at Name'],
    [
      'a network that is missing',
      JSON.stringify([WEB]),
      'its network front is not among what was inspected; add what "docker network inspect front" prints',
    ],
  ])('%s is refused', (_, text, message) => {
    expect(() => readInspected([{ file: 'i.json', text }])).toThrow(message);
  });

  it('leaves out what does not run, and the host network', () => {
    const stopped = { ...WEB, State: { Running: false } };
    const { containers, warnings } = inspect(stopped, ...NETWORKS.slice(0, 1));
    expect(containers).toEqual([]);
    expect(warnings).toEqual(['container web does not run: Docker has no rules for it']);
  });
});
