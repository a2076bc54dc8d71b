/**
 * The rules of Docker 20 to 27: nat's DOCKER with a RETURN for every bridge and a DNAT for every published port, filter's
 * FORWARD with six rules for every network, DOCKER-ISOLATION-STAGE-1 and -2 between networks. In the order in which the
 * daemon makes them; 27 itself put new ports in front of older ones, its predecessors behind them, as here.
 */
import type { Firewall, FirewallEndpoint, FirewallNetwork, FirewallPort } from './firewall.js';
import { dnatTarget, LOOPBACK, not, oneAddress, RuleBook } from './rulebook.js';

const LOCAL = '-m addrtype --dst-type LOCAL';
const ESTABLISHED = '-m conntrack --ctstate RELATED,ESTABLISHED';
const STAGE_1 = 'DOCKER-ISOLATION-STAGE-1';
const STAGE_2 = 'DOCKER-ISOLATION-STAGE-2';

export function classicStyle(firewall: Firewall): RuleBook {
  const book = new RuleBook(firewall.family);
  book.policy('filter', 'FORWARD', firewall.forwardPolicy);
  book.chain('filter', 'DOCKER');
  book.chain('nat', 'DOCKER');
  book.append('filter', STAGE_1, { target: 'RETURN' });
  book.append('filter', STAGE_2, { target: 'RETURN' });
  for (const network of firewall.networks) addNetwork(book, network, firewall);
  for (const { endpoints } of firewall.containers) {
    for (const endpoint of endpoints) {
      if (endpoint.network.internal) continue;
      for (const port of endpoint.ports) publish(book, endpoint, port, firewall);
    }
  }
  return book;
}

function addNetwork(book: RuleBook, network: FirewallNetwork, firewall: Firewall): void {
  const { bridge, internal } = network;
  if (internal) internalNetwork(book, network);
  else bridgeNetwork(book, network, firewall);
  book.moveToHead('filter', 'FORWARD', { target: STAGE_1 });
  if (!internal) {
    book.insert('filter', STAGE_1, { in: bridge, out: not(bridge), target: STAGE_2 });
    book.insert('filter', STAGE_2, { out: bridge, target: 'DROP' });
  }
  if (!firewall.userChain) return;
  book.append('filter', 'DOCKER-USER', { target: 'RETURN' });
  book.moveToHead('filter', 'FORWARD', { target: 'DOCKER-USER' });
}

/** IPv6 excepts what stays on the bridge: neighbour discovery uses addresses of no subnet. */
function internalNetwork(book: RuleBook, network: FirewallNetwork): void {
  const { bridge, subnet } = network;
  const [input, output] = book.family === 4 ? [undefined, undefined] : [not(bridge), not(bridge)];
  book.insert('filter', STAGE_1, { destination: not(subnet), in: bridge, out: output, target: 'DROP' });
  book.insert('filter', STAGE_1, { source: not(subnet), in: input, out: bridge, target: 'DROP' });
  betweenContainers(book, network);
}

function betweenContainers(book: RuleBook, { bridge, icc }: FirewallNetwork): void {
  if (icc) book.insert('filter', 'FORWARD', { in: bridge, out: bridge, target: 'ACCEPT' });
  else book.append('filter', 'FORWARD', { in: bridge, out: bridge, target: 'DROP' });
}

function bridgeNetwork(book: RuleBook, network: FirewallNetwork, { hairpin, family }: Firewall): void {
  const { bridge, subnet, masquerade, snat } = network;
  const translated = snat === undefined ? 'MASQUERADE' : `SNAT --to-source ${snat}`;
  if (masquerade) book.insert('nat', 'POSTROUTING', { source: subnet, out: not(bridge), target: translated });
  // docker-proxy answers containers that ask for a published port.
  if (masquerade && !hairpin) book.insert('nat', 'DOCKER', { in: bridge, target: 'RETURN' });
  if (hairpin) {
    book.insert('nat', 'POSTROUTING', { out: bridge, match: '-m addrtype --src-type LOCAL', target: translated });
  }
  betweenContainers(book, network);
  book.insert('filter', 'FORWARD', { in: bridge, out: not(bridge), target: 'ACCEPT' });
  book.append('nat', 'PREROUTING', { match: LOCAL, target: 'DOCKER' });
  const destination = hairpin ? undefined : not(LOOPBACK[family]);
  book.append('nat', 'OUTPUT', { destination, match: LOCAL, target: 'DOCKER' });
  book.insert('filter', 'FORWARD', { out: bridge, target: 'DOCKER' });
  book.insert('filter', 'FORWARD', { out: bridge, match: ESTABLISHED, target: 'ACCEPT' });
}

function publish(book: RuleBook, endpoint: FirewallEndpoint, port: FirewallPort, firewall: Firewall): void {
  const { network, address } = endpoint;
  const { family } = book;
  const { protocol, containerPort, hostPort, hostAddress } = port;
  const container = oneAddress(address, family);
  const toContainer = `-m ${protocol} --dport ${containerPort}`;
  book.append('nat', 'DOCKER', {
    source: family === 6 ? '!fe80::/10' : undefined,
    destination: hostAddress === undefined ? undefined : oneAddress(hostAddress, family),
    in: firewall.hairpin ? undefined : not(network.bridge),
    protocol,
    match: `-m ${protocol} --dport ${hostPort}`,
    target: dnatTarget(address, containerPort, family),
  });
  const way = { destination: container, in: not(network.bridge), out: network.bridge };
  book.append('filter', 'DOCKER', { ...way, protocol, match: toContainer, target: 'ACCEPT' });
  const own = { source: container, destination: container, protocol, match: toContainer };
  book.append('nat', 'POSTROUTING', { ...own, target: 'MASQUERADE' });
  if (protocol !== 'sctp') return;
  // Veth leaves the checksum to hardware that is not there; Linux up to 4.9 needed this.
  const match = `-m sctp --sport ${containerPort}`;
  book.append('mangle', 'POSTROUTING', { protocol, match, target: 'CHECKSUM --checksum-fill' });
}
