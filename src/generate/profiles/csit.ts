/**
 * The NAT44 tests of FD.io CSIT: as many inside hosts as the sessions need, 63 ports each, everybody with a remote of
 * his own. `nat44ed-h1024-p63-s64512` and its like up to 262,144 hosts (16,515,072 sessions).
 *
 *   192.168.0.0/14 ---- 10.10.10.2 ---- lan0 10.10.10.1 [ gateway ] wan0 10.10.20.1 ---- 10.10.20.2 ---- 20.0.0.0/8
 */
import { address, dotted, ports } from '../address.js';
import { type Kind, type Plan, type PlanOptions, type Profile, TCP, UDP, type World } from '../plan.js';
import { SHORTEST } from '../sizes.js';

const PORTS = 63;
const FIRST_PORT = 1024;
const MAX_HOSTS = 262_144;
const HOSTS = address(192, 168, 0, 0);
const REMOTES = address(20, 0, 0, 0);
const POOL = address(68, 142, 68, 0);
const REMOTE_PORT = 1024;

const WORLD: World = {
  interfaces: [
    {
      name: 'lan0',
      mac: [0x02000000, 0x0001],
      address: address(10, 10, 10, 1),
      prefix: 24,
      router: { address: address(10, 10, 10, 2), mac: [0x02000a0a, 0x0a02] },
      ttl: 63,
    },
    {
      name: 'wan0',
      mac: [0x02000000, 0x0002],
      address: address(10, 10, 20, 1),
      prefix: 24,
      router: { address: address(10, 10, 20, 2), mac: [0x02000a0a, 0x1402] },
      ttl: 63,
    },
  ],
  routes: [
    { to: 'default', via: '10.10.20.2', dev: 'wan0' },
    { to: '192.168.0.0/14', via: '10.10.10.2', dev: 'lan0' },
  ],
};

/** Hosts of each rule: a power of two, so that a rule takes a prefix; host `h` has the address of rule `h / that`. */
function hostsOfRule(rulesCount: number): number {
  return 2 ** Math.floor(Math.log2(MAX_HOSTS / rulesCount));
}

function rulesText(rulesCount: number): string {
  const hosts = hostsOfRule(rulesCount);
  const prefix = 32 - Math.log2(hosts);
  // With a number of rules that is no power of two the last one takes the rest.
  const rules = Array.from({ length: rulesCount }, (_, i) => {
    const last = i === rulesCount - 1;
    const from = last ? '192.168.0.0/14' : `${dotted(HOSTS + i * hosts)}/${prefix}`;
    return `-A POSTROUTING -s ${from} -o wan0 -j SNAT --to-source ${dotted(POOL + i)}`;
  });
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...rules,
    'COMMIT',
    '',
  ].join('\n');
}

function csit(name: string, protocol: string, kind: Kind, shortest: number): Profile {
  const plan = ({ rulesCount }: PlanOptions): Plan => {
    const hosts = hostsOfRule(rulesCount);
    return {
      world: WORLD,
      rules: rulesText(rulesCount),
      pattern: [{ kind }],
      shortest,
      maxConnections: MAX_HOSTS * PORTS,
      conversation(index, into) {
        const host = Math.floor(index / PORTS);
        const port = FIRST_PORT + (index % PORTS);
        into.kind = kind;
        into.initiatorIngress = 0;
        into.responderIngress = 1;
        into.initiatorSource = HOSTS + host;
        into.initiatorDestination = into.responderSource = REMOTES + host;
        into.initiatorPorts = ports(port, REMOTE_PORT);
        into.responderDestination = POOL + Math.min(rulesCount - 1, Math.floor(host / hosts));
        into.responderPorts = ports(REMOTE_PORT, port);
      },
    };
  };
  return {
    name,
    about: `the NAT44 tests of FD.io CSIT: ${protocol}, 63 ports an inside host, 64,512 sessions`,
    sizes: SHORTEST,
    packets: 1_000_000,
    connections: 64_512,
    rulesCount: 1,
    rulesAre: 'SNAT rules, an outside address each',
    minRules: 1,
    maxRules: 4096,
    plan,
  };
}

export const csitNat44 = csit('csit-nat44', 'UDP', UDP, 2);
export const csitNat44Tcp = csit('csit-nat44-tcp', 'TCP', TCP, 8);
