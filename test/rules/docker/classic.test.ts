/** Docker 20 to 27. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../support/cli.js';
import { chainsOf, rulesOf } from './cases.js';

const style = 'classic' as const;

describe('Docker up to 27', () => {
  it('writes for -p 8799:1337 and -p 80:80 what the recorded host had, rule for rule', () => {
    const text = rulesOf({ style, words: ['app=172.17.0.3', '-p 8799:1337', 'web=172.17.0.4', '-p 80:80'] });
    const recorded = readFileSync(join(ROOT, 'captures/docker-bridge/rules.v4'), 'utf8');
    expect(text).toBe(recorded.replace(/^#.*\n/gm, ''));
  });

  it('takes the first address behind the gateway, larger host ports first', () => {
    const text = rulesOf({ style, words: ['-p 80:80', '-p 443:443', '-p 8000-8001:90-91/udp'] });
    expect(chainsOf(text, 'nat', 'DOCKER')).toEqual([
      '-i docker0 -j RETURN',
      '! -i docker0 -p udp -m udp --dport 8001 -j DNAT --to-destination 172.17.0.2:91',
      '! -i docker0 -p udp -m udp --dport 8000 -j DNAT --to-destination 172.17.0.2:90',
      '! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443',
      '! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80',
    ]);
  });

  it('puts newer networks in front of older ones', () => {
    const text = rulesOf({ style, words: ['web@front', '-p 80:80'], networks: ['front,bridge=br-front'] });
    expect(chainsOf(text, 'filter', 'FORWARD', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2')).toEqual([
      '-j DOCKER-USER',
      '-j DOCKER-ISOLATION-STAGE-1',
      '-o br-front -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-o br-front -j DOCKER',
      '-i br-front ! -o br-front -j ACCEPT',
      '-i br-front -o br-front -j ACCEPT',
      '-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-o docker0 -j DOCKER',
      '-i docker0 ! -o docker0 -j ACCEPT',
      '-i docker0 -o docker0 -j ACCEPT',
      '-i br-front ! -o br-front -j DOCKER-ISOLATION-STAGE-2',
      '-i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
      '-j RETURN',
      '-o br-front -j DROP',
      '-o docker0 -j DROP',
      '-j RETURN',
    ]);
    expect(chainsOf(text, 'nat', 'POSTROUTING', 'DOCKER')).toEqual([
      '-s 172.18.0.0/16 ! -o br-front -j MASQUERADE',
      '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      '-s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
      '-i br-front -j RETURN',
      '-i docker0 -j RETURN',
      '! -i br-front -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80',
    ]);
  });

  it('with icc=false drops between containers, behind everything else', () => {
    const text = rulesOf({ style, words: [], docker0: { icc: false }, networks: ['front,bridge=br-front'] });
    expect(chainsOf(text, 'filter', 'FORWARD').at(-1)).toBe('-i docker0 -o docker0 -j DROP');
    expect(text).not.toContain('-i docker0 -o docker0 -j ACCEPT');
  });

  it('with userland-proxy=false returns nothing, and masquerades the host itself', () => {
    const text = rulesOf({ style, words: ['-p 80:80'], userlandProxy: false });
    expect(chainsOf(text, 'nat', 'OUTPUT', 'POSTROUTING', 'DOCKER')).toEqual([
      '-m addrtype --dst-type LOCAL -j DOCKER',
      '-o docker0 -m addrtype --src-type LOCAL -j MASQUERADE',
      '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      '-s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80',
    ]);
  });

  it('with ip-masq=false neither masquerades nor returns', () => {
    const text = rulesOf({ style, words: ['-p 127.0.0.1:80:80'], docker0: { masquerade: false } });
    expect(chainsOf(text, 'nat', 'POSTROUTING', 'DOCKER')).toEqual([
      '-s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
      '-d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80',
    ]);
  });

  it('keeps an internal network to itself, and publishes nothing of it', () => {
    const text = rulesOf({
      style,
      words: ['db@back', '-p 5432:5432'],
      networks: ['back=10.9.0.0/24,internal,bridge=br-back'],
    });
    expect(
      chainsOf(text, 'filter', 'FORWARD', 'DOCKER-ISOLATION-STAGE-1').filter((rule) => !rule.includes('docker0')),
    ).toEqual([
      '-j DOCKER-USER',
      '-j DOCKER-ISOLATION-STAGE-1',
      '-i br-back -o br-back -j ACCEPT',
      '! -s 10.9.0.0/24 -o br-back -j DROP',
      '! -d 10.9.0.0/24 -i br-back -j DROP',
      '-j RETURN',
    ]);
    expect(text).not.toContain('5432');
  });

  it('fills in checksums of SCTP', () => {
    const text = rulesOf({ style, words: ['-p 9899:9899/sctp'] });
    expect(chainsOf(text, 'mangle', 'POSTROUTING')).toEqual([
      '-p sctp -m sctp --sport 9899 -j CHECKSUM --checksum-fill',
    ]);
  });

  it('has the same for IPv6, with brackets and without link-local sources', () => {
    const text = rulesOf({ style, words: ['-p 8080:80'], docker0: { subnet6: 'fd00:17::/64' } }, 6);
    expect(chainsOf(text, 'nat', 'OUTPUT', 'POSTROUTING', 'DOCKER')).toEqual([
      '! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER',
      '-s fd00:17::/64 ! -o docker0 -j MASQUERADE',
      '-s fd00:17::2/128 -d fd00:17::2/128 -p tcp -m tcp --dport 80 -j MASQUERADE',
      '-i docker0 -j RETURN',
      '! -s fe80::/10 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:17::2]:80',
    ]);
  });
});
