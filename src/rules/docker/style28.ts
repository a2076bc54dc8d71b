/**
 * The rules of Docker 28 and later (its bridge driver's `iptabler`): raw drops what is sent straight to a container's
 * address, filter decides by DOCKER-FORWARD and the chains below it, nat translates. In the order in which the daemon
 * makes them: chains when it starts, networks, then containers.
 */
import type { Firewall, FirewallEndpoint, FirewallNetwork, FirewallPort } from './firewall.js';
import { dnatTarget, LOOPBACK, not, oneAddress, RuleBook } from './rulebook.js';

const LOCAL = '-m addrtype --dst-type LOCAL';
const ESTABLISHED = '-m conntrack --ctstate RELATED,ESTABLISHED';

/** WSL2's interface to Windows in mirrored networking. */
const MIRRORED = 'loopback0';

export function style28(firewall: Firewall): RuleBook {
  const book = new RuleBook(firewall.family);
  chains(book, firewall);
  for (const network of firewall.networks) {
    if (network.internal) internalNetwork(book, network);
    else bridgeNetwork(book, network, firewall);
  }
  for (const { endpoints } of firewall.containers) {
    for (const endpoint of endpoints) {
      if (!firewall.allowDirectRouting) dropDirectAccess(book, endpoint);
      if (endpoint.network.internal) continue;
      for (const port of endpoint.ports) publish(book, endpoint, port, firewall);
    }
  }
  return book;
}

function chains(book: RuleBook, { family, hairpin, wsl2Mirrored, userChain, forwardPolicy }: Firewall): void {
  book.chain('raw', 'PREROUTING');
  book.policy('filter', 'FORWARD', forwardPolicy);
  for (const chain of ['DOCKER', 'DOCKER-FORWARD', 'DOCKER-BRIDGE', 'DOCKER-CT', 'DOCKER-INTERNAL']) {
    book.chain('filter', chain);
  }
  book.append('nat', 'PREROUTING', { match: LOCAL, target: 'DOCKER' });
  // Without docker-proxy, connections of the host to its loopback address are translated too.
  const destination = hairpin ? undefined : not(LOOPBACK[family]);
  book.append('nat', 'OUTPUT', { destination, match: LOCAL, target: 'DOCKER' });
  book.append('filter', 'FORWARD', { target: 'DOCKER-FORWARD' });
  for (const chain of ['DOCKER-CT', 'DOCKER-INTERNAL', 'DOCKER-BRIDGE']) {
    book.append('filter', 'DOCKER-FORWARD', { target: chain });
  }
  book.chain('nat', 'DOCKER');
  if (family === 4 && wsl2Mirrored && !hairpin) {
    book.insert('nat', 'DOCKER', { destination: LOOPBACK[4], in: MIRRORED, target: 'RETURN' });
  }
  if (!userChain) return;
  book.chain('filter', 'DOCKER-USER');
  book.moveToHead('filter', 'FORWARD', { target: 'DOCKER-USER' });
}

/** Neither in nor out. IPv6 excepts what stays on the bridge: neighbour discovery uses addresses of no subnet. */
function internalNetwork(book: RuleBook, { bridge, subnet, icc }: FirewallNetwork): void {
  const [input, output] = book.family === 4 ? [undefined, undefined] : [not(bridge), not(bridge)];
  book.insert('filter', 'DOCKER-INTERNAL', { destination: not(subnet), in: bridge, out: output, target: 'DROP' });
  book.insert('filter', 'DOCKER-INTERNAL', { source: not(subnet), in: input, out: bridge, target: 'DROP' });
  book.append('filter', 'DOCKER-FORWARD', { in: bridge, out: bridge, target: icc ? 'ACCEPT' : 'DROP' });
}

function bridgeNetwork(book: RuleBook, network: FirewallNetwork, { hairpin }: Firewall): void {
  const { bridge, subnet, icc, masquerade, mode, snat } = network;
  const translated = snat === undefined ? 'MASQUERADE' : `SNAT --to-source ${snat}`;
  const routed = mode === 'routed';
  if (masquerade && !routed) {
    book.insert('nat', 'POSTROUTING', { source: subnet, out: not(bridge), target: translated });
  }
  if (hairpin) {
    book.insert('nat', 'POSTROUTING', { out: bridge, match: '-m addrtype --src-type LOCAL', target: translated });
  }
  if (!icc) book.append('filter', 'DOCKER-FORWARD', { in: bridge, out: bridge, target: 'DROP' });
  if (routed) {
    const protocol = book.family === 4 ? 'icmp' : 'ipv6-icmp';
    book.append('filter', 'DOCKER', { out: bridge, protocol, target: 'ACCEPT' });
  }
  book.append('filter', 'DOCKER-FORWARD', { in: bridge, out: icc ? undefined : not(bridge), target: 'ACCEPT' });
  // What no published port has accepted.
  const otherwise = mode === 'nat-unprotected' ? 'ACCEPT' : 'DROP';
  book.append('filter', 'DOCKER', { in: not(bridge), out: bridge, target: otherwise });
  book.append('filter', 'DOCKER-CT', { out: bridge, match: ESTABLISHED, target: 'ACCEPT' });
  book.append('filter', 'DOCKER-BRIDGE', { out: bridge, target: 'DOCKER' });
}

/** Only the bridge itself leads to a container; the host's own packets do not pass PREROUTING. */
function dropDirectAccess(book: RuleBook, { network, address }: FirewallEndpoint): void {
  if (network.internal || network.mode === 'nat-unprotected' || network.mode === 'routed') return;
  const destination = oneAddress(address, book.family);
  book.append('raw', 'PREROUTING', { destination, in: not(network.bridge), target: 'DROP' });
}

function publish(book: RuleBook, endpoint: FirewallEndpoint, port: FirewallPort, firewall: Firewall): void {
  const { network, address } = endpoint;
  const { family } = book;
  const { protocol, containerPort, hostPort, hostAddress } = port;
  const container = oneAddress(address, family);
  const toContainer = `-m ${protocol} --dport ${containerPort}`;
  if (hostPort !== 0) {
    const host = hostAddress === undefined ? undefined : oneAddress(hostAddress, family);
    const toHost = `-m ${protocol} --dport ${hostPort}`;
    if (family === 4 && hostAddress?.startsWith('127.') === true) {
      keepOnLoopback(book, { destination: host, protocol, match: toHost }, firewall);
    }
    book.append('nat', 'DOCKER', {
      source: family === 6 ? '!fe80::/10' : undefined,
      destination: host,
      in: firewall.hairpin ? undefined : not(network.bridge),
      protocol,
      match: toHost,
      target: dnatTarget(address, containerPort, family),
    });
    if (firewall.hairpin) {
      const own = { source: container, destination: container, protocol, match: toContainer };
      book.append('nat', 'POSTROUTING', { ...own, target: 'MASQUERADE' });
    }
  }
  if (network.mode === 'nat-unprotected') return;
  // To the head, so that it stands before the network's DROP.
  const way = { destination: container, in: not(network.bridge), out: network.bridge };
  book.insert('filter', 'DOCKER', { ...way, protocol, match: toContainer, target: 'ACCEPT' });
}

/** A port published on 127.0.0.0/8 is not for neighbours that route there. */
function keepOnLoopback(
  book: RuleBook,
  port: { readonly destination: string | undefined; readonly protocol: string; readonly match: string },
  { wsl2Mirrored }: Firewall,
): void {
  if (wsl2Mirrored) book.append('raw', 'PREROUTING', { ...port, in: MIRRORED, target: 'ACCEPT' });
  book.append('raw', 'PREROUTING', { ...port, in: '!lo', target: 'DROP' });
}
