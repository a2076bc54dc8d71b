import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import { parseRules } from '../../src/rules/index.js';
import { Prediction } from '../../src/verify/prediction.js';
import { DOCKER_HOST, DOCKER_RULES } from '../kernel/hosts.js';
import { ether, tcp, udp } from '../kernel/packets.js';

const filter = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j ACCEPT
COMMIT
`;

function prediction(rules = DOCKER_RULES + filter): Prediction {
  const host = makeHost(describeHostText(JSON.stringify(DOCKER_HOST), 'host.json'));
  const ruleset = parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' });
  return new Prediction({ host, rules: ruleset, rules6: undefined, backend: 'legacy' });
}

const names = (steps: readonly { readonly rule: string }[]): string[] => steps.map(({ rule }) => rule);

describe('the way of a packet, read off the counters', () => {
  it('is in the order of the hooks, called chains behind their callers', () => {
    const syn = ether(tcp({ src: '198.51.100.7:40000', dst: '192.0.2.1:8799', flags: 'S' }));
    const judged = prediction().judge('eth0', syn, 0, undefined);
    expect(judged.verdict).toBe('forward');
    expect(names(judged.path())).toEqual([
      'nat:PREROUTING:1',
      'nat:DOCKER:2',
      'filter:FORWARD:1',
      'filter:DOCKER:1',
      'nat:POSTROUTING:policy',
    ]);
  });

  it('ends at the policy that dropped it', () => {
    const dns = ether(udp({ src: '198.51.100.7:40000', dst: '172.17.0.9:53' }));
    const judged = prediction().judge('eth0', dns, 0, undefined);
    expect(judged.verdict).toBe('drop');
    expect(judged.path().at(-1)).toEqual({ rule: 'filter:FORWARD:policy', text: 'policy DROP' });
  });

  it('is this packet\u2019s alone', () => {
    const asked = prediction();
    const syn = ether(tcp({ src: '198.51.100.7:40000', dst: '192.0.2.1:8799', flags: 'S' }));
    asked.judge('eth0', syn, 0, undefined);
    // Sent again: nat is for the first packet of a connection only.
    expect(names(asked.judge('eth0', syn, 1, undefined).path())).toEqual(['filter:FORWARD:1', 'filter:DOCKER:1']);
  });
});

describe('ports that the kernel drew', () => {
  const from = (host: string) => ether(udp({ src: `172.17.0.${host}:4000`, dst: '198.51.100.1:53' }));
  const out = (port: number) => udp({ src: `192.0.2.1:${port}`, dst: '198.51.100.1:53' });

  it('are followed where the own port is taken', () => {
    const asked = prediction(DOCKER_RULES);
    asked.judge('docker0', from('3'), 0, out(4000));
    const [sent] = asked.judge('docker0', from('4'), 1, out(51234)).sent;
    expect(Buffer.from(sent?.frame ?? []).readUInt16BE(34)).toBe(51234);
    expect(asked.ports.followed).toBe(1);
  });

  it.each([
    ['is taken', 4000, 'the kernel chose 4000, which another connection has'],
    ['is of another class', 700, 'the kernel chose 700, which is outside 1024-65535'],
  ])('are refused when the port %s', (_, port, refusal) => {
    const asked = prediction(DOCKER_RULES);
    asked.judge('docker0', from('3'), 0, out(4000));
    const [sent] = asked.judge('docker0', from('4'), 1, out(port)).sent;
    expect(Buffer.from(sent?.frame ?? []).readUInt16BE(34)).not.toBe(port);
    expect(asked.ports).toMatchObject({ followed: 0, refusal });
  });
});
