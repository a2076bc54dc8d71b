/** Docker 28 and later. */
import { describe, expect, it } from 'vitest';
import { chainsOf, rulesOf } from './cases.js';

const style = '28' as const;

describe('Docker from 28 on', () => {
  it('writes for -p 8799:1337 and -p 80:80', () => {
    expect(rulesOf({ style, words: ['app=172.17.0.3', '-p 8799:1337', 'web=172.17.0.4', '-p 80:80'] })).toBe(`*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d 172.17.0.3/32 ! -i docker0 -j DROP
-A PREROUTING -d 172.17.0.4/32 ! -i docker0 -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.4/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 1337 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80
COMMIT
`);
  });

  it('takes ports of their own before ranges, then smaller container ports', () => {
    const text = rulesOf({ style, words: ['-p 9000-9009:70', '-p 443:443', '-p 80:80', '-p 53:53/udp', '-p 53:53'] });
    expect(
      chainsOf(text, 'nat', 'DOCKER').map((rule) => /-p (\w+) .*--dport (\d+)/.exec(rule)?.slice(1).join(' ')),
    ).toEqual(['tcp 53', 'udp 53', 'tcp 80', 'tcp 443', 'tcp 9000']);
  });

  it('with icc=false drops between containers', () => {
    const text = rulesOf({ style, words: [], docker0: { icc: false } });
    expect(chainsOf(text, 'filter', 'DOCKER-FORWARD').slice(3)).toEqual([
      '-i docker0 -o docker0 -j DROP',
      '-i docker0 ! -o docker0 -j ACCEPT',
    ]);
  });

  it('with userland-proxy=false lets containers and the host in by hairpin', () => {
    const text = rulesOf({ style, words: ['-p 80:80'], userlandProxy: false });
    expect(chainsOf(text, 'nat', 'OUTPUT', 'POSTROUTING', 'DOCKER')).toEqual([
      '-m addrtype --dst-type LOCAL -j DOCKER',
      '-o docker0 -m addrtype --src-type LOCAL -j MASQUERADE',
      '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      '-s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80',
    ]);
  });

  it('keeps what is published on 127.0.0.1 from neighbours that route there', () => {
    const text = rulesOf({ style, words: ['-p 127.0.0.1:8080:80'] });
    expect(chainsOf(text, 'raw', 'PREROUTING')).toEqual([
      '-d 172.17.0.2/32 ! -i docker0 -j DROP',
      '-d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP',
    ]);
  });

  it.each([
    ['nat', ['-d 10.9.0.2/32 ! -i br0 -j DROP'], 'DROP', true],
    ['nat-unprotected', [], 'ACCEPT', true],
    ['routed', [], 'DROP', false],
  ] as const)('gateway mode %s', (mode, raw, otherwise, translated) => {
    const text = rulesOf({
      style,
      words: ['web@a', '-p 8080:80'],
      networks: [`a=10.9.0.0/24,bridge=br0,gateway-mode=${mode}`],
    });
    expect(chainsOf(text, 'raw', 'PREROUTING')).toEqual(raw);
    expect(chainsOf(text, 'filter', 'DOCKER').at(-1)).toBe(`! -i br0 -o br0 -j ${otherwise}`);
    expect(chainsOf(text, 'filter', 'DOCKER').includes('-o br0 -p icmp -j ACCEPT')).toBe(mode === 'routed');
    expect(chainsOf(text, 'nat', 'DOCKER')).toHaveLength(translated ? 1 : 0);
    expect(text.includes('-s 10.9.0.0/24 ! -o br0 -j MASQUERADE')).toBe(translated);
  });

  it('isolated and internal networks: neither in nor out, no address of the host for the former', () => {
    const networks = [
      'a=10.9.0.0/24,bridge=br0,internal',
      'b=10.9.1.0/24,bridge=br1,internal,gateway-mode=isolated,icc=false',
    ];
    const text = rulesOf({ style, words: ['x@a', 'y@b'], networks });
    expect(chainsOf(text, 'filter', 'DOCKER-INTERNAL', 'DOCKER-FORWARD').filter((rule) => rule.includes('br'))).toEqual(
      [
        '-i br0 -o br0 -j ACCEPT',
        '-i br1 -o br1 -j DROP',
        '! -s 10.9.1.0/24 -o br1 -j DROP',
        '! -d 10.9.1.0/24 -i br1 -j DROP',
        '! -s 10.9.0.0/24 -o br0 -j DROP',
        '! -d 10.9.0.0/24 -i br0 -j DROP',
      ],
    );
    expect(chainsOf(text, 'raw', 'PREROUTING')).toEqual([]);
  });

  it('translates to a stated address instead of masquerading', () => {
    const text = rulesOf({ style, words: [], networks: ['a=10.9.0.0/24,bridge=br0,snat=192.0.2.7'] });
    expect(chainsOf(text, 'nat', 'POSTROUTING')[0]).toBe('-s 10.9.0.0/24 ! -o br0 -j SNAT --to-source 192.0.2.7');
  });

  it('for IPv6 lets neighbour discovery of an internal network be, and ICMPv6 into a routed one', () => {
    const networks = ['a=fd00:a::/64,bridge=br0,internal', 'b=fd00:b::/64,bridge=br1,gateway-mode=routed'];
    const text = rulesOf({ style, words: ['x@a', 'y@b', '-p 80'], networks }, 6);
    expect(chainsOf(text, 'filter', 'DOCKER', 'DOCKER-INTERNAL')).toEqual([
      '-d fd00:b::2/128 ! -i br1 -o br1 -p tcp -m tcp --dport 80 -j ACCEPT',
      '-o br1 -p ipv6-icmp -j ACCEPT',
      '! -i br1 -o br1 -j DROP',
      '! -s fd00:a::/64 ! -i br0 -o br0 -j DROP',
      '! -d fd00:a::/64 -i br0 ! -o br0 -j DROP',
    ]);
  });

  it('lets others at the containers where direct routing is allowed', () => {
    expect(rulesOf({ style, words: ['-p 80:80'], allowDirectRouting: true })).not.toContain(
      '-d 172.17.0.2/32 ! -i docker0 -j DROP',
    );
  });
});
