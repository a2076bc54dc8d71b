/**
 * Room before the frames that are injected. A network card's driver leaves some before each frame (NET_SKB_PAD), a
 * packet socket on a veth next to none, and the kernel goes by it: the fragments of a datagram leave as they came only if
 * their new headers fit into the room before each (ip6_fragment), and extension headers that came behind the IPv6 fragment
 * header need more of it, since they leave in front.
 *
 * A veth takes over the room that the ports of its bridge ask for (veth_set_rx_headroom), and a VXLAN interface asks for
 * as much as a card leaves. Neither bridge nor VXLAN is ever up or sees a frame: nftables takes those away before.
 */
import { SPLIT } from './layout.js';

/** Input of `ip -force -batch -` in the namespace of the wires. A kernel without bridges or VXLAN does without. */
export const HEADROOM_BATCH = [
  'link add name nrroom type bridge',
  'link add name nrvxlan type vxlan id 1 dstport 4789',
  'link set dev nrvxlan master nrroom',
  `link set dev ${SPLIT} master nrroom`,
  '',
].join('\n');
