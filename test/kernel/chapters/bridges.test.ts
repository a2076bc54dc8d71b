/** Bridges with ports: what is bridged, what is routed, and what iptables sees of it. */
import type { HostFile, LinkJson } from '../../../src/host/hostschema.js';
import { link } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

/** Docker's: two containers at the ports of docker0, and eth0 to the outside. */
function host(settings: {
  readonly call?: boolean;
  readonly hairpin?: boolean;
  readonly ports?: readonly string[];
}): HostFile {
  const { call = false, hairpin = false, ports = ['pa', 'pb'] } = settings;
  const port = (ifname: string, k: number): LinkJson => ({
    ...link(ifname),
    address: `02:00:00:00:0a:0${k + 1}`,
    master: 'br0',
    linkinfo: { info_slave_kind: 'bridge', info_slave_data: { hairpin } },
  });
  return {
    addr: [
      { ...link('eth0', '192.0.2.1/24'), address: '02:00:00:00:0e:01' },
      { ...link('br0', '172.17.0.1/16'), address: '02:00:00:00:00:01', linkinfo: { info_kind: 'bridge' } },
      ...ports.map(port),
    ],
    sysctl: { 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-iptables': call ? '1' : '0' },
  };
}

const PLAIN = host({});
const CALLED = host({ call: true });

const STATIONS = {
  bridge: { mac: '02:00:00:00:00:01' },
  a: { mac: '02:aa:00:00:00:02', addresses: ['172.17.0.2'] },
  b: { mac: '02:bb:00:00:00:03', addresses: ['172.17.0.3'] },
  c: { mac: '02:cc:00:00:00:04', addresses: ['172.17.0.4'] },
  nobody: { mac: '02:dd:00:00:00:05' },
  all: { mac: 'ff:ff:ff:ff:ff:ff' },
  group: { mac: '01:00:5e:00:00:05' },
};

const PUBLISH =
  '-t nat -A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337';
const HAIRPIN = '-t nat -A POSTROUTING -s 172.17.0.0/16 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE';

const CASES: readonly Case[] = [
  {
    name: 'E10: from a container to the published port of its own host, with bridge-nf-call-iptables=1 the TTL stays',
    host: CALLED,
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  udp 172.17.0.3:1 > 172.17.0.1:1 from b to bridge
      host same
      in  pa  tcp 172.17.0.2:1005 > 192.0.2.1:8799 S seq 1 from a to bridge
      out pb  tcp 172.17.0.1:1005 > 172.17.0.3:1337 S ttl 64
      in  pb  tcp 172.17.0.3:1337 > 172.17.0.1:1005 SA seq 5 ack 2 from b to bridge
      out pa  tcp 192.0.2.1:8799 > 172.17.0.2:1005 SA ttl 64
    `,
  },
  {
    name: 'E10: with bridge-nf-call-iptables=0 it is routed, and the TTL one less',
    host: PLAIN,
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  udp 172.17.0.3:1 > 172.17.0.1:1 from b to bridge
      host same
      in  pa  tcp 172.17.0.2:1005 > 192.0.2.1:8799 S seq 1 from a to bridge
      out br0 tcp 172.17.0.1:1005 > 172.17.0.3:1337 S
      in  pb  tcp 172.17.0.3:1337 > 172.17.0.1:1005 SA seq 5 ack 2 from b to bridge
      out br0 tcp 192.0.2.1:8799 > 172.17.0.2:1005 SA
    `,
  },
];

const BR_NETFILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';

chapter('bridges', { host: CALLED, rules: [], stations: STATIONS, kernelFiles: [BR_NETFILTER] }, CASES);
