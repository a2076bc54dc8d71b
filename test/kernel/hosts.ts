/** Hosts that the kernel tests speak of, as `ip -j addr` and `ip -j route` would print them. */
import type { HostFile, LinkJson } from '../../src/host/hostschema.js';

export function link(ifname: string, ...addresses: readonly string[]): LinkJson {
  return {
    ifname,
    flags: ['BROADCAST', 'UP', 'LOWER_UP'],
    mtu: 1500,
    addr_info: addresses.map((text) => {
      const [local = '', length = '32'] = text.split('/');
      return { family: local.includes(':') ? 'inet6' : 'inet', local, prefixlen: Number(length), scope: 'global' };
    }),
  };
}

/** Docker's: eth0 192.0.2.1/24 to the outside, docker0 172.17.0.1/16 with the containers, a default route. */
export const DOCKER_HOST: HostFile = {
  addr: [link('eth0', '192.0.2.1/24'), link('docker0', '172.17.0.1/16')],
  route: [
    { dst: 'default', gateway: '192.0.2.254', dev: 'eth0' },
    { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.1' },
    { dst: '172.17.0.0/16', dev: 'docker0', protocol: 'kernel', scope: 'link', prefsrc: '172.17.0.1' },
  ],
};

/** Docker's classic rules for `-p 80:80` (172.17.0.4) and `-p 8799:1337` (172.17.0.3). */
export const DOCKER_RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.3/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE
-A POSTROUTING -s 172.17.0.4/32 -d 172.17.0.4/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80
COMMIT
`;

/** A home gateway: lan 192.168.1.1/24 inside, wan 203.0.113.5/24 outside. */
export const HOME_HOST: HostFile = {
  addr: [link('lan', '192.168.1.1/24'), link('wan', '203.0.113.5/24')],
  route: [
    { dst: 'default', gateway: '203.0.113.1', dev: 'wan' },
    { dst: '203.0.113.0/24', dev: 'wan', protocol: 'kernel', scope: 'link', prefsrc: '203.0.113.5' },
    { dst: '192.168.1.0/24', dev: 'lan', protocol: 'kernel', scope: 'link', prefsrc: '192.168.1.1' },
  ],
};

export const HOME_RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
`;
