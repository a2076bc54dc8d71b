/** What a raw socket makes of a packet of the host's own before it is routed. */
import { describe, expect, it } from 'vitest';
import { asHostSends } from '../../src/verify/hostpacket.js';
import { tcp, udp } from '../kernel/packets.js';

const V4 = { src: '192.0.2.1:4000', dst: '198.51.100.1:53' } as const;
const V6 = { src: '[2001:db8::1]:4000', dst: '[2001:db8::2]:53' } as const;

describe('a packet that the host sends', () => {
  it.each([
    ['a sound one', udp({ ...V4, id: 7 }), udp({ ...V4, id: 7 })],
    ['a wrong header checksum', udp({ ...V4, id: 7, badIpChecksum: true }), udp({ ...V4, id: 7 })],
    ['the padding of a short frame', Buffer.concat([udp({ ...V4, id: 7 }), Buffer.alloc(18)]), udp({ ...V4, id: 7 })],
    ['no identification, and it must not be cut', udp({ ...V4, id: 0, df: true }), udp({ ...V4, id: 0, df: true })],
    ['no identification, and it may be cut', udp({ ...V4, id: 0 }), udp({ ...V4, id: 1 })],
    [
      'options',
      udp({ ...V4, id: 7, options: Buffer.from('01010100', 'hex') }),
      udp({ ...V4, id: 7, options: Buffer.from('01010100', 'hex') }),
    ],
    ['IPv6', Buffer.concat([tcp({ ...V6, flags: 'S' }), Buffer.alloc(3)]), tcp({ ...V6, flags: 'S' })],
  ])('%s', (_, packet, sent) => {
    expect(Buffer.from(asHostSends(packet) ?? [])).toEqual(Buffer.from(sent));
  });

  it.each([
    ['a source address that the kernel would choose', udp({ ...V4, src: '0.0.0.0:68' })],
    ['a source that is a group', udp({ ...V4, src: '224.0.0.1:68' })],
    ['no destination', udp({ ...V4, dst: '0.0.0.0:53' })],
    ['less of it than it says', udp(V4).subarray(0, 24)],
    ['a link-local IPv6 destination', udp({ ...V6, dst: '[fe80::1]:53' })],
    ['an IPv6 group', udp({ ...V6, dst: '[ff02::fb]:53' })],
    ['an unspecified IPv6 source', udp({ ...V6, src: '[::]:53' })],
    ['neither IPv4 nor IPv6', Buffer.alloc(40)],
  ])('is not one that a socket could send: %s', (_, packet) => {
    expect(asHostSends(packet)).toBeUndefined();
  });
});
