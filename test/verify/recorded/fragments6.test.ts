/** IPv6 datagrams in fragments: the host cuts them again under an identification of its own. */
import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { hostFromFile } from '../../../src/host/hostfile.js';
import { parseRules } from '../../../src/rules/parse.js';
import { verifyRecorded } from '../../../src/verify/recorded/run.js';
import { scratch } from '../../support/cli.js';
import { ip, pcapFile, sll2, udp } from '../../support/packets.js';

const folder = scratch();
afterAll(() => folder.remove());

const [LAN0, WAN0] = [2, 3];
const CAME = 0;
const WENT = 4;
const CLIENT = 'fd00::5';
const GATEWAY = '2001:db8::1';
const SERVER = '2001:db8:9::9';

const link = (ifname: string, ifindex: number, local: string) => ({
  ifname,
  ifindex,
  flags: ['UP'],
  addr_info: [{ family: 'inet6', local, prefixlen: 64, scope: 'global' }],
});
const HOST = folder.at('host.json');
writeFileSync(
  HOST,
  JSON.stringify({
    addr: [link('lan0', LAN0, 'fd00::1'), link('wan0', WAN0, GATEWAY)],
    route6: [
      { dst: 'default', gateway: '2001:db8::fe', dev: 'wan0' },
      { dst: '2001:db8::/64', dev: 'wan0', protocol: 'kernel' },
      { dst: 'fd00::/64', dev: 'lan0', protocol: 'kernel' },
    ],
    sysctl: { 'net.ipv6.conf.all.forwarding': '1' },
  }),
);

/** Two fragments of a datagram of 2000 bytes; filled with a text that tells it from others. */
function fragments(iface: number, port: number, id: number, text: string): Uint8Array[] {
  const out = iface === WAN0;
  const src = out ? GATEWAY : CLIENT;
  const payload = Buffer.alloc(2000, text);
  const whole = udp({ src: `[${src}]:${port}`, dst: `[${SERVER}]:9`, payload }).subarray(40);
  const piece = (from: number, to: number, more: number): Uint8Array => {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(from | more, 2);
    header.writeUInt32BE(id, 4);
    const fields = { src, dst: SERVER, ttl: out ? 63 : 64, extensions: [[44, header]] as const };
    return sll2(out ? WENT : CAME, iface, ip(fields, 17, whole.subarray(from, to)), 0x86dd);
  };
  return [piece(0, 1000, 1), piece(1000, whole.length, 0)];
}

async function verified(name: string, frames: readonly Uint8Array[], target = 'MASQUERADE') {
  const path = folder.at(`${name}.pcap`);
  writeFileSync(
    path,
    pcapFile(
      frames.map((frame, i) => ({ at: 1000 + i / 1000, frame })),
      276,
    ),
  );
  const text = `*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o wan0 -j ${target}\nCOMMIT\n`;
  const rules6 = parseRules(text, { file: 'rules', family: 6, unsupported: 'stop' });
  const { report } = await verifyRecorded({ captures: [{ path }], host: hostFromFile(HOST), rules6 });
  const { agreed, differing, missing, unexplained, ports } = report;
  return { counts: { agreed, differing, missing, unexplained }, report, ports };
}

const AGREED = (agreed: number) => ({ agreed, differing: 0, missing: 0, unexplained: 0 });

describe('IPv6 fragments in a recording', () => {
  it('agree whatever identification each datagram was given', async () => {
    const frames = [1, 2, 3].flatMap((n) => [
      ...fragments(LAN0, 900 + n, 50 + n, `datagram ${n}`),
      ...fragments(WAN0, 900 + n, 0x7a000000 + n, `datagram ${n}`),
    ]);
    expect((await verified('three', frames)).counts).toEqual(AGREED(6));
  });

  it('disagree when the fragments of one datagram have two', async () => {
    const [first = new Uint8Array()] = fragments(WAN0, 900, 77, 'one');
    const [, last = new Uint8Array()] = fragments(WAN0, 900, 78, 'one');
    const { counts } = await verified('two-ids', [...fragments(LAN0, 900, 50, 'one'), first, last]);
    expect(counts.agreed).toBe(1);
    expect(counts).not.toEqual(AGREED(1));
  });

  it('disagree when anything else differs', async () => {
    const { counts } = await verified('other', [
      ...fragments(LAN0, 900, 50, 'one'),
      ...fragments(WAN0, 901, 77, 'one'),
    ]);
    expect(counts).not.toEqual(AGREED(2));
  });

  it('show the ports that were drawn, whichever datagram left first', async () => {
    const frames = [
      ...fragments(LAN0, 5000, 50, 'a'),
      ...fragments(LAN0, 5001, 51, 'b'),
      ...fragments(WAN0, 40001, 77, 'b'),
      ...fragments(WAN0, 40002, 78, 'a'),
    ];
    const { counts, ports } = await verified('random', frames, 'MASQUERADE --random');
    expect(counts).toEqual(AGREED(4));
    expect(ports).toMatchObject({ learnt: 2, unknown: 0 });
  });
});
