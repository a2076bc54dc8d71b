import { describe, expect, it } from 'vitest';
import { compileOptions, forwardOptions } from '../../src/netfilter/ipoptions.js';

const TOWARDS_SENDER = 'c0a80101';
const EGRESS = 'cb007105';
const NOON = '02932e00';
const host = { ownAddress: () => Number.parseInt(TOWARDS_SENDER, 16), isUnicast: () => false };

/** The options (hexadecimal, a multiple of four bytes) as they leave a router at noon. */
function forwarded(options: string): string {
  const bytes = Buffer.from(options, 'hex');
  const header = Buffer.alloc(20 + bytes.length);
  header[0] = 0x40 | (header.length / 4);
  bytes.copy(header, 20);
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const compiled = compileOptions(view, 0, host, 12 * 3600, 0);
  if (compiled.fault !== undefined) return compiled.fault;
  forwardOptions(view, 0, compiled, Number.parseInt(EGRESS, 16));
  return header.toString('hex', 20);
}

describe('IPv4 options that routers fill in', () => {
  it.each([
    { name: 'record route: the address the packet leaves by', given: '07070400000000 00', left: `070708${EGRESS} 00` },
    { name: 'timestamp alone', given: '44080500 00000000', left: `44080900 ${NOON}` },
    {
      name: 'address and timestamp: what the host calls itself towards the sender, not the egress',
      given: '440c0501 00000000 00000000',
      left: `440c0d01 ${TOWARDS_SENDER} ${NOON}`,
    },
    {
      name: 'the timestamp of a host that is named: its address stays',
      given: `440c0503 ${TOWARDS_SENDER} 00000000`,
      left: `440c0d03 ${TOWARDS_SENDER} ${NOON}`,
    },
    { name: 'a source route is refused', given: '83070401020304 00', left: 'source-route' },
  ])('$name', ({ given, left }) => {
    expect(forwarded(given.replaceAll(' ', ''))).toBe(left.replaceAll(' ', ''));
  });
});
