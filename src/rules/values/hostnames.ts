/**
 * The names of addresses that are the same on every host (/etc/hosts and /etc/networks as Debian has them), which is what
 * `iptables -L` without `-n` shows of them. Others would have to be looked up, which this program never does.
 */
import { formatAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import { formatNetwork, isZero, listNetwork, type Network } from './addresses.js';

const NAMES = new Map([
  ['127.0.0.1', 'localhost'],
  ['127.0.0.0', 'loopback'],
  ['169.254.0.0', 'link-local'],
  ['0.0.0.0', 'default'],
]);

/** Names found in listings, and their addresses; multicast groups are named by the DNS, but everywhere alike. */
const ADDRESSES: Readonly<Record<Family, ReadonlyMap<string, string>>> = {
  4: new Map([
    ['localhost', '127.0.0.1'],
    ['localhost.localdomain', '127.0.0.1'],
    ['loopback', '127.0.0.0'],
    ['link-local', '169.254.0.0'],
    ['default', '0.0.0.0'],
    ['base-address.mcast.net', '224.0.0.0'],
    ['all-systems.mcast.net', '224.0.0.1'],
    ['all-routers.mcast.net', '224.0.0.2'],
    ['mdns.mcast.net', '224.0.0.251'],
  ]),
  6: new Map([
    ['localhost', '::1'],
    ['localhost6', '::1'],
    ['ip6-localhost', '::1'],
    ['ip6-loopback', '::1'],
    ['ip6-localnet', 'fe00::'],
    ['ip6-mcastprefix', 'ff00::'],
    ['ip6-allnodes', 'ff02::1'],
    ['ip6-allrouters', 'ff02::2'],
  ]),
};

/** A network as `iptables -L` prints it without `-n`. */
export function nameNetwork(family: Family, network: Network): string {
  // ip6tables goes by the address alone, and takes ::1 from /etc/hosts, which does not everywhere name it.
  if (family === 6) return isZero(network.address) ? 'anywhere' : listNetwork(family, network);
  if (isZero(network.mask)) return 'anywhere';
  const address = formatAddress(family, network.address);
  const name = NAMES.get(address);
  if (name === undefined) return listNetwork(family, network);
  const single = network.mask[0] === 0xffffffff;
  return single ? name : formatNetwork(family, network).replace(address, name);
}

/** The address that a name found in a listing stands for; undefined if it is not known. */
export function addressOfName(name: string, family: Family): string | undefined {
  return ADDRESSES[family].get(name.toLowerCase());
}
