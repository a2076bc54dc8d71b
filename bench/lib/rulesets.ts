/**
 * Rule sets of a size as big hosts have them, made by counting so that the same size gives the same text: Kubernetes nodes,
 * Docker hosts, block lists; and chains of one kind each, which show what a new connection costs by the length of a chain.
 */
import { dotted } from '../../src/generate/address.js';

/** Text of iptables-save. */
export interface RuleText {
  readonly text: string;
  readonly rules: number;
}

/** Inside of the gateway (bench/README.md). */
const INSIDE = 0x0a000000;
const OUTSIDE_ADDRESS = '203.0.113.1';

class Save {
  private readonly lines: string[] = [];
  private rules = 0;

  table(name: string, chains: readonly string[], own: Iterable<string> = []): void {
    this.lines.push(`*${name}`);
    for (const chain of chains) this.lines.push(`:${chain} ACCEPT [0:0]`);
    for (const chain of own) this.lines.push(`:${chain} - [0:0]`);
  }

  rule(text: string): void {
    this.lines.push(`-A ${text}`);
    this.rules++;
  }

  commit(): void {
    this.lines.push('COMMIT');
  }

  done(): RuleText {
    return { text: `${this.lines.join('\n')}\n`, rules: this.rules };
  }
}

const NAT = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'];
const FILTER = ['INPUT', 'FORWARD', 'OUTPUT'];

/** 16 characters that differ for every k, as the hashes in kube-proxy's chain names. */
const hashed = (k: number): string => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let text = '';
  for (let at = 0, word = Math.imul(k + 1, 0x9e3779b1) >>> 0; at < 16; at++) {
    text += letters[(word >>> 27) & 31];
    word = (Math.imul(word, 0x85ebca6b) + k + at) >>> 0;
  }
  return `${text.slice(0, 11)}${k.toString(32).toUpperCase().padStart(5, '0')}`;
};

export const serviceAddress = (k: number): number => 0x0a600000 + k;
const podAddress = (k: number): number => 0x0af40000 + k;

/** kube-proxy's chains: five rules a service, which has one endpoint, or (every eighth) two between which statistic draws. */
export function kubernetes(services: number): RuleText {
  const save = new Save();
  const own = ['KUBE-SERVICES', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-NODEPORTS'];
  for (let k = 0; k < services; k++) own.push(`KUBE-SVC-${hashed(k)}`, `KUBE-SEP-${hashed(k)}`);
  save.table('nat', NAT, own);
  save.rule('PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES');
  save.rule('OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES');
  save.rule('POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING');
  save.rule('KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000');
  save.rule('KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN');
  save.rule('KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0');
  save.rule(
    'KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  );
  for (let k = 0; k < services; k++) {
    const [name, svc, sep] = [`shop/service-${k}:http`, `KUBE-SVC-${hashed(k)}`, `KUBE-SEP-${hashed(k)}`];
    const service = `-d ${dotted(serviceAddress(k))}/32 -p tcp -m comment --comment "${name} cluster IP" -m tcp --dport 80`;
    const pod = dotted(podAddress(k));
    save.rule(`KUBE-SERVICES ${service} -j ${svc}`);
    save.rule(`${svc} ! -s 10.244.0.0/14 ${service} -j KUBE-MARK-MASQ`);
    if (k % 8 === 0 && k > 0) {
      const draw = '-m statistic --mode random --probability 0.50000000000';
      save.rule(`${svc} -m comment --comment "${name} -> ${pod}:8080" ${draw} -j KUBE-SEP-${hashed(k - 1)}`);
    }
    save.rule(`${svc} -m comment --comment "${name} -> ${pod}:8080" -j ${sep}`);
    save.rule(`${sep} -s ${pod}/32 -m comment --comment "${name}" -j KUBE-MARK-MASQ`);
    save.rule(`${sep} -p tcp -m comment --comment "${name}" -m tcp -j DNAT --to-destination ${pod}:8080`);
  }
  save.rule(
    'KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  );
  save.commit();
  return save.done();
}

/** Docker's chains: three rules a published port. */
export function docker(ports: number): RuleText {
  const save = new Save();
  const container = (k: number): string => dotted(0xac110002 + (k % 60000));
  save.table('nat', NAT, ['DOCKER']);
  save.rule('PREROUTING -m addrtype --dst-type LOCAL -j DOCKER');
  save.rule('OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER');
  save.rule('POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE');
  for (let k = 0; k < ports; k++)
    save.rule(`POSTROUTING -s ${container(k)}/32 -d ${container(k)}/32 -p tcp -m tcp --dport 80 -j MASQUERADE`);
  save.rule('DOCKER -i docker0 -j RETURN');
  for (let k = 0; k < ports; k++)
    save.rule(`DOCKER ! -i docker0 -p tcp -m tcp --dport ${1 + k} -j DNAT --to-destination ${container(k)}:80`);
  save.commit();
  save.table('filter', FILTER, ['DOCKER', 'DOCKER-USER']);
  save.rule('FORWARD -j DOCKER-USER');
  save.rule('FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT');
  save.rule('FORWARD -o docker0 -j DOCKER');
  save.rule('FORWARD -i docker0 ! -o docker0 -j ACCEPT');
  save.rule('FORWARD -i docker0 -o docker0 -j ACCEPT');
  for (let k = 0; k < ports; k++)
    save.rule(`DOCKER -d ${container(k)}/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT`);
  save.rule('DOCKER-USER -j RETURN');
  save.commit();
  return save.done();
}

/** The k-th network of a block list: /32 to /17, everywhere but inside. */
export function blockedNetwork(k: number): { readonly address: number; readonly length: number } {
  const length = 32 - (k % 16);
  const word = (Math.imul(k + 1, 0x9e3779b1) >>> 0) % 0x80000000;
  const address = (0x20000000 + word) >>> 0;
  return { address: ((address >>> (32 - length)) << (32 - length)) >>> 0, length };
}

/** A filter table that drops by source network. */
export function blockList(networks: number): RuleText {
  const save = new Save();
  save.table('filter', FILTER);
  for (let k = 0; k < networks; k++) {
    const { address, length } = blockedNetwork(k);
    save.rule(`FORWARD -s ${dotted(address)}/${length} -j DROP`);
  }
  save.rule('FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT');
  save.commit();
  return save.done();
}

/** A filter table that drops by a set, and the set (`ipset save`). */
export function blockSet(elements: number): RuleText & { readonly ipset: string } {
  const save = new Save();
  save.table('filter', FILTER);
  save.rule('FORWARD -m set --match-set blocked src -j DROP');
  save.rule('FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT');
  save.commit();
  const lines = [`create blocked hash:ip family inet hashsize 1048576 maxelem ${Math.max(65536, elements)}`];
  for (let k = 0; k < elements; k++)
    lines.push(`add blocked ${dotted((0x20000000 + ((Math.imul(k + 1, 0x9e3779b1) >>> 0) % 0x80000000)) >>> 0)}`);
  return { ...save.done(), ipset: `${lines.join('\n')}\n` };
}

/** Port k of both protocols in turn: 65,535 of each. */
export const servicePort = (k: number): { readonly protocol: 'tcp' | 'udp'; readonly port: number } => ({
  protocol: k % 2 === 0 ? 'tcp' : 'udp',
  port: 1 + (k >>> 1),
});

const target = (k: number): string => `${dotted(INSIDE + 256 + (k % 60000))}:80`;

/** A chain of DNAT rules by protocol and port. */
export function portDnat(rules: number): RuleText {
  const save = new Save();
  save.table('nat', NAT);
  for (let k = 0; k < rules; k++) {
    const { protocol, port } = servicePort(k);
    save.rule(`PREROUTING -p ${protocol} -m ${protocol} --dport ${port} -j DNAT --to-destination ${target(k)}`);
  }
  save.commit();
  return save.done();
}

/** A chain of DNAT rules by destination address and port, as KUBE-SERVICES has jumps. */
export function addressDnat(rules: number): RuleText {
  const save = new Save();
  save.table('nat', NAT);
  for (let k = 0; k < rules; k++)
    save.rule(
      `PREROUTING -d ${dotted(serviceAddress(k))}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination ${target(k)}`,
    );
  save.commit();
  return save.done();
}

/** The k-th of the networks that are masqueraded: /28s of 10/8. */
export const masqueradedNetwork = (k: number): number => INSIDE + 0x100000 + k * 16;

/** A chain of MASQUERADE rules by source network. */
export function networkMasquerade(rules: number): RuleText {
  const save = new Save();
  save.table('nat', NAT);
  for (let k = 0; k < rules; k++)
    save.rule(`POSTROUTING -s ${dotted(masqueradedNetwork(k))}/28 ! -o lan0 -j MASQUERADE`);
  save.commit();
  return save.done();
}

/** Rules that no index covers, spread over a chain: as many however long it is. */
const UNCOVERED = [
  '-m mark --mark 0x99 -j RETURN',
  '-m statistic --mode nth --every 1000003 --packet 0 -j RETURN',
  '! -s 10.0.0.0/7 -m length --length 1400:1500 -j RETURN',
  `-m conntrack --ctorigdst ${OUTSIDE_ADDRESS} --ctorigdstport 7 -j RETURN`,
];

/** DNAT rules by port and by address and port in turn, in one chain with rules that no index covers, which don't match. */
export function mixture(rules: number): RuleText {
  const save = new Save();
  save.table('nat', NAT);
  const every = Math.max(2, Math.floor(rules / UNCOVERED.length));
  for (let k = 0; k < rules; k++) {
    const uncovered = k % every === 1 ? UNCOVERED[Math.floor(k / every)] : undefined;
    if (uncovered !== undefined) save.rule(`PREROUTING ${uncovered}`);
    else if (k % 2 === 0)
      save.rule(
        `PREROUTING -d ${OUTSIDE_ADDRESS}/32 -p tcp -m tcp --dport ${1 + (k >>> 1)} -j DNAT --to-destination ${target(k)}`,
      );
    else
      save.rule(
        `PREROUTING -d ${dotted(serviceAddress(k))}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination ${target(k)}`,
      );
  }
  save.commit();
  return save.done();
}
