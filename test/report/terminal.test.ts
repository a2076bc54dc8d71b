import { describe, expect, it } from 'vitest';
import { terminalReport } from '../../src/report/terminal.js';
import type { ReplayResult } from '../../src/report/types.js';
import { parseRules } from '../../src/rules/index.js';
import {
  DOCKER_COUNTS,
  DOCKER_LISTING,
  DOCKER_NAT,
  DOCKER_RESULT,
  dockerListing,
  NO_HOST,
  ruleCounters,
  ruleset,
} from './fixture.js';

const page = (result: ReplayResult, width = 80, colour = false): string =>
  terminalReport(result, { colour, width, listChains: dockerListing });

const EMPTY: ReplayResult = {
  host: NO_HOST,
  inputs: [{ path: 'empty.pcap', format: 'pcap', linkTypes: ['Ethernet'], records: 0, bytes: 24, warnings: [] }],
  outputs: [],
  records: 0,
  verdicts: { forward: 0, local: 0, drop: 0, held: 0, outgoing: 0, ignored: 0, translated: 0 },
  reasons: [],
  interfaces: [],
  connections: { created: 0, expired: 0, live: 0, peak: 0 },
  rules: [],
  serviceTime: undefined,
  elapsedSeconds: 0.001,
  captureSeconds: undefined,
  assumptions: [],
  warnings: [],
};

describe('the report on a terminal of 80 columns', () => {
  it('is a page from what was read to what was written', async () => {
    await expect(page(DOCKER_RESULT)).toMatchFileSnapshot('pages/docker-80.txt');
  });

  it('keeps its own lines within the width; only the rule listing may be wider, as it is in iptables', () => {
    const [before = '', rest = ''] = page(DOCKER_RESULT).split(/^Rules /m);
    const [, after = ''] = rest.split(/^Skipped/m);
    const widest = Math.max(...`${before}${after}`.split('\n').map((line) => [...line].length));
    expect(widest).toBeLessThanOrEqual(80);
  });

  it('says of an empty capture that there was nothing, without dividing by it', () => {
    expect(page(EMPTY)).toBe(`0 packets replayed in 1 ms

Read
  empty.pcap  pcap  Ethernet  0 records  24 B

What became of the packets
  forwarded              0  -
  delivered to the host  0  -
  dropped                0  -
  translated: 0

Connections
  0 created, 0 expired, 0 live at the end, 0 at the peak
`);
  });
});

describe('on other terminals', () => {
  it('uses the room of a wide one', async () => {
    await expect(page(DOCKER_RESULT, 140)).toMatchFileSnapshot('pages/docker-140.txt');
  });

  it('puts names on lines of their own on a narrow one', async () => {
    await expect(page(DOCKER_RESULT, 50)).toMatchFileSnapshot('pages/docker-50.txt');
  });

  it('colours only when asked, and then changes nothing but colours', () => {
    const plain = page(DOCKER_RESULT);
    const coloured = page(DOCKER_RESULT, 80, true);
    expect(plain).not.toContain('\u001b');
    expect(coloured).toContain('\u001b[');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours to be taken off
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(plain);
  });
});

describe('names from strangers', () => {
  const EVIL = '\u001b]0;owned\u0007\u001b[2J\r\n\u009b31m\u202egnp.exe\u0000';
  const hostileRules = ruleset(
    EVIL,
    { nat: { PREROUTING: [`-A PREROUTING -m comment --comment "${EVIL}"`] }, raw: { PREROUTING: [] } },
    { [`-A PREROUTING -m comment --comment "${EVIL}"`]: `match ${EVIL}` },
  );
  const hostile: ReplayResult = {
    ...DOCKER_RESULT,
    inputs: [
      {
        path: EVIL,
        format: 'pcap',
        linkTypes: [EVIL],
        records: 1,
        bytes: 1,
        warnings: [{ code: 'X', message: EVIL, file: EVIL, offset: 1 }],
      },
    ],
    outputs: [{ path: EVIL, iface: EVIL, records: 1, bytes: 1 }],
    texts: [{ path: EVIL, what: EVIL, bytes: 1 }],
    reasons: [[EVIL, 1]],
    interfaces: [{ name: EVIL, rxPackets: 1, rxBytes: 1, txPackets: 1, txBytes: 1 }],
    rules: [ruleCounters(hostileRules, {}, ['raw'])],
    serviceTime: { samples: 1, p50: 1, p99: 1, p999: 1, max: 1, mean: 1, method: EVIL },
    assumptions: [EVIL],
    warnings: [EVIL],
  };
  const listing = (): string =>
    `Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)\n pkts bytes target\n    0     0            /* \u001b[2J\u009b31m\u202e */\n`;

  it('never bring a control character or a direction mark to the terminal', () => {
    const text = terminalReport(hostile, { colour: false, width: 80, listChains: listing });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    expect(text).toContain('\\x1b]0;owned\\x07\\x1b[2J\\x0d\\x0a\\x9b31m\\u{202e}gnp.exe\\x00');
    expect(text).toContain('/* \\x1b[2J\\x9b31m\\u{202e} */');
  });

  it('bring no colours of their own either', () => {
    const text = terminalReport(hostile, { colour: true, width: 80, listChains: listing });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
    const rest = text.replace(/\u001b\[\d+m/g, '');
    expect(rest).not.toContain('\u001b');
    expect(rest).toBe(terminalReport(hostile, { colour: false, width: 80, listChains: listing }));
  });
});

describe('the rules', () => {
  it('stand there as iptables -t nat -L -v -n lists them', () => {
    const text = Object.entries(DOCKER_NAT).flatMap(([, rules]) => rules);
    const file = ['*nat', ':DOCKER - [0:0]', ...text, 'COMMIT', ''].join('\n');
    const counters = ruleCounters(
      parseRules(file, { file: 'rules.v4', family: 4, unsupported: 'stop' }),
      DOCKER_COUNTS,
    );
    const report = terminalReport({ ...EMPTY, rules: [counters] }, { colour: false, width: 80 });
    const title = 'Rules of rules.v4, as iptables -t nat -L -v -n lists them\n\n';
    expect(report.slice(report.indexOf(title) + title.length)).toBe(DOCKER_LISTING);
  });
});

describe('long lists', () => {
  it('are cut, with the number of what is left out', () => {
    const warnings = Array.from({ length: 25 }, (_, i) => `warning ${i}`);
    const text = page({ ...EMPTY, warnings });
    expect(text).toContain('  - warning 19\n  ... and 5 more (--json has them all)\n');
    expect(text).not.toContain('warning 20');
  });

  it('a listing of thousands of rules shows what packets reached', () => {
    const services = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`KUBE-SVC-${i}`, [`-A KUBE-SVC-${i} -j KUBE-SEP-1`, 'another']]),
    );
    const rules = ruleset('big', { nat: { PREROUTING: ['first', 'second'], OUTPUT: [], ...services } });
    const blocks = [...(rules.tables.get('nat')?.chains.values() ?? [])].map(
      (chain) => `Chain ${chain.name} (title)\n columns\n${chain.rules.map(({ text }) => `${text}\n`).join('')}`,
    );
    const counters = ruleCounters(rules, { 'nat:PREROUTING:2': [5, 300], 'nat:KUBE-SVC-7:1': [5, 300] });
    const text = terminalReport(
      { ...EMPTY, rules: [counters] },
      { colour: false, width: 80, listChains: () => blocks.join('\n') },
    );
    expect(text.slice(text.indexOf('Rules of'))).toBe(`Rules of big, as iptables -t nat -L -v -n lists them

Chain PREROUTING (title)
 columns
second

Chain OUTPUT (title)
 columns

Chain KUBE-SVC-7 (title)
 columns
-A KUBE-SVC-7 -j KUBE-SEP-1

(600 rules and 299 chains that no packet reached are left out; --counters FILE has them all)
`);
  });
});
