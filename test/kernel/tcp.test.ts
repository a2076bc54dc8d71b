/**
 * TCP as connection tracking follows it, segment by segment: each line says what the running kernel makes of a segment
 * and what its entry is then, and natreplay is held to the same (segments.ts has the language). The last test draws
 * segments at random; `npx tsx test/kernel/tcpfuzz.ts` does so for as long as one likes.
 */
import { describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { SeededRandom } from './random.js';
import { type Played, parseSegment, playSegments, type Tracked } from './segments.js';
import { differingScripts, randomScript } from './tcpscripts.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `TCP (${requirement.reason})` : 'TCP, as the running kernel follows it';

/** Segments and what becomes of them; the verdict `passed` goes without saying. Seconds of life are stated or not. */
type Case = readonly [name: string, ...lines: string[]];
/** Without `net.netfilter.nf_conntrack_`. */
type Sysctl = Readonly<Record<string, string>>;

const OPENED = [
  '> S 1000             SYN_SENT [UNREPLIED] 120',
  '< SA 9000 ack 1001   SYN_RECV 60',
  '> A 1001 ack 9001    ESTABLISHED [ASSURED] 432000',
];
const CLOSED = [
  ...OPENED,
  '> FA 1001 ack 9001   FIN_WAIT [ASSURED] 120',
  '< A 9001 ack 1002    CLOSE_WAIT [ASSURED] 60',
  '< FA 9001 ack 1002   LAST_ACK [ASSURED] 30',
  '> A 1002 ack 9002    TIME_WAIT [ASSURED] 120',
];
const EXCHANGED = [
  ...OPENED,
  '> PA 1001 ack 9001 len 500   ESTABLISHED [ASSURED] 300',
  '< A 9001 ack 1501            ESTABLISHED [ASSURED] 432000',
];

const STANDARD: readonly Case[] = [
  ['the client closes first', ...CLOSED],
  [
    'the server closes first',
    ...OPENED,
    '< FA 9001 ack 1001   FIN_WAIT [ASSURED] 120',
    '> FA 1001 ack 9002   LAST_ACK [ASSURED] 30',
    '< A 9002 ack 1002    TIME_WAIT [ASSURED] 120',
  ],
  [
    'simultaneous open',
    '> S 1000             SYN_SENT [UNREPLIED]',
    '< S 9000             SYN_SENT2 120',
    '> SA 1000 ack 9001   SYN_RECV',
    '< SA 9000 ack 1001   SYN_RECV',
    '> A 1001 ack 9001    ESTABLISHED [ASSURED]',
  ],
  [
    'simultaneous open, the server acknowledges first',
    '> S 1000             SYN_SENT [UNREPLIED]',
    '< S 9000             SYN_SENT2',
    '< SA 9000 ack 1001   SYN_RECV',
    '< A 9001 ack 1001    ESTABLISHED [ASSURED]',
  ],
  [
    'simultaneous close',
    ...OPENED,
    '> FA 1001 ack 9001   FIN_WAIT [ASSURED]',
    '< FA 9001 ack 1001   LAST_ACK [ASSURED]',
    '> A 1002 ack 9002    TIME_WAIT [ASSURED]',
    '< A 9002 ack 1002    TIME_WAIT [ASSURED]',
  ],
  ['the answer to a SYN is a reset: the entry goes at once', '> S 1000   SYN_SENT [UNREPLIED]', '< RA 0 ack 1001   -'],
  [
    'a SYN on TIME_WAIT begins anew, whatever its number (F1)',
    ...CLOSED,
    '> S 5       SYN_SENT [UNREPLIED]',
    '< SA 9000 ack 6   SYN_RECV',
  ],
  [
    'a SYN of the server on TIME_WAIT begins the other way round',
    ...CLOSED,
    '< S 5       SYN_SENT reversed [UNREPLIED]',
    '> SA 9000 ack 6   SYN_RECV reversed',
  ],
  [
    "a SYN after the client's own reset begins anew (F1)",
    ...OPENED,
    '> R 1001   CLOSE [ASSURED] 10',
    '> S 777    SYN_SENT [UNREPLIED]',
  ],
  [
    "a SYN after the server's reset goes on with the entry (F1)",
    ...OPENED,
    '< RA 9001 ack 1001   CLOSE [ASSURED] 10',
    '> S 777              CLOSE [ASSURED]',
    '< SA 4000 ack 778    SYN_RECV [ASSURED] 60',
    '> A 778 ack 4001     ESTABLISHED [ASSURED]',
  ],
  [
    'a SYN on a live connection passes, and its SYN+ACK is believed (F1)',
    ...OPENED,
    '> S 500000              ESTABLISHED [ASSURED]',
    '< SA 70000 ack 500001   SYN_RECV [ASSURED]',
    '> A 500001 ack 70001    ESTABLISHED [ASSURED]',
  ],
  [
    'a SYN on a live connection, and the challenge ACK that answers (F1)',
    ...OPENED,
    '> S 500000          ESTABLISHED [ASSURED]',
    '< A 9001 ack 1001   ESTABLISHED [ASSURED]',
    '> R 1001            CLOSE [ASSURED]',
  ],
  [
    'a challenge ACK is not taken for the last one',
    ...CLOSED.slice(0, -1),
    '> S 500000          LAST_ACK [ASSURED]',
    '< A 9002 ack 1002   LAST_ACK [ASSURED]',
    '> A 1002 ack 9002   TIME_WAIT [ASSURED]',
  ],
  [
    "a reset acknowledges the other side's SYN, far out of the window",
    ...OPENED,
    '> S 500000            ESTABLISHED [ASSURED]',
    '< RA 77 ack 500001    CLOSE [ASSURED]',
  ],
  [
    'a reset acknowledges a SYN of its own side',
    ...OPENED,
    '> S 500000              ESTABLISHED [ASSURED]',
    '> RA 1001 ack 500001    invalid ESTABLISHED [ASSURED]',
  ],
  [
    'a reset after a new SYN acknowledges the challenge ACK before it',
    '> S 1000             SYN_SENT [UNREPLIED]',
    '< A 9001 ack 1001    SYN_SENT',
    '> PA 1001 ack 9001 len 10   invalid SYN_SENT',
    '> S 100000           SYN_SENT',
    '> RA 1011 ack 9001   invalid SYN_SENT',
    '< SA 7000 ack 100001   SYN_RECV',
    '> PA 100001 ack 7001 len 10   ESTABLISHED [ASSURED] 300',
  ],
  [
    'the reset that a challenge ACK asks for',
    '> S 1000             SYN_SENT [UNREPLIED]',
    '< A 9001 ack 777     SYN_SENT',
    '> R 777              CLOSE',
  ],
  ['a reset that is exactly next', ...EXCHANGED, '> R 1501   CLOSE [ASSURED] 10'],
  ['a reset below what was acknowledged', ...EXCHANGED, '> R 1400   invalid ESTABLISHED [ASSURED]'],
  [
    'a reset in the window, but not next: a challenge ACK may follow',
    ...EXCHANGED,
    '> R 1505            ESTABLISHED [ASSURED] 10',
    '< A 9001 ack 1501   ESTABLISHED [ASSURED] 300',
    '> R 1501            CLOSE [ASSURED]',
  ],
  [
    'a reset behind data that was not acknowledged yet',
    ...OPENED,
    '> PA 1001 ack 9001 len 20   ESTABLISHED [ASSURED]',
    '> R 1021                    CLOSE [ASSURED]',
  ],
  [
    'both sides close, out of the window: a short life',
    ...OPENED,
    '> FA 900000 ack 9001   invalid ESTABLISHED [ASSURED] 432000',
    '< FA 900000 ack 1001   invalid ESTABLISHED [ASSURED] 300',
  ],
  [
    'beyond the window: let pass at first, INVALID further out',
    '> S 1000 win 1000             SYN_SENT [UNREPLIED]',
    '< SA 9000 ack 1001 win 1000   SYN_RECV',
    '> A 1001 ack 9001 win 1000    ESTABLISHED [ASSURED]',
    '> PA 2002 ack 9001 len 10     ESTABLISHED [ASSURED] 432000',
    '> PA 4000 ack 9001 len 10     invalid ESTABLISHED [ASSURED]',
    '< A 9001 ack 99999            invalid ESTABLISHED [ASSURED]',
  ],
  [
    'windows are scaled when both SYNs offer it',
    '> S 1000 win 1000 scale 7             SYN_SENT [UNREPLIED]',
    '< SA 9000 ack 1001 win 1000 scale 7   SYN_RECV',
    '> A 1001 ack 9001 win 1000            ESTABLISHED [ASSURED]',
    '< A 9001 ack 1001 win 1000            ESTABLISHED [ASSURED]',
    '> PA 128000 ack 9001 len 10           ESTABLISHED [ASSURED] 300',
    '> PA 900000 ack 9001 len 10           invalid ESTABLISHED [ASSURED]',
  ],
  [
    'a SYN sent again without scaling takes it back',
    '> S 1000 win 1000 scale 7             SYN_SENT [UNREPLIED]',
    '> S 2000 win 1000 sack                SYN_SENT [UNREPLIED]',
    '< SA 9000 ack 2001 win 1000 scale 7   SYN_RECV',
    '> A 2001 ack 9001 win 1000            ESTABLISHED [ASSURED]',
    '< A 9001 ack 2001 win 1000            ESTABLISHED [ASSURED]',
    '> PA 100000 ack 9001 len 10           invalid ESTABLISHED [ASSURED]',
  ],
  [
    'selective acknowledgement of what was never sent, with SACK permitted',
    '> S 1000 sack             SYN_SENT [UNREPLIED]',
    '< SA 9000 ack 1001 sack   SYN_RECV',
    '> A 1001 ack 9001         ESTABLISHED [ASSURED]',
    '> A 1001 ack 9001 blocks 9500-9600   invalid ESTABLISHED [ASSURED]',
    '< PA 9001 ack 1001 len 700           ESTABLISHED [ASSURED] 300',
    '> A 1001 ack 9001 blocks 9500-9600   ESTABLISHED [ASSURED]',
  ],
  [
    'picked up in the middle: liberal, and short-lived until it is answered',
    '> PA 1000 ack 9000 len 10     ESTABLISHED [UNREPLIED] 300',
    '> PA 900000 ack 9000 len 10   ESTABLISHED [UNREPLIED] 300',
    '< A 5 ack 5                   ESTABLISHED 300',
    '> A 900010 ack 5              ESTABLISHED [ASSURED] 432000',
  ],
  [
    'the server is seen first: the entry is the other way round (F2)',
    '< PA 9000 ack 1000 len 10   ESTABLISHED reversed [UNREPLIED] 300',
    '> A 1000 ack 9010           ESTABLISHED reversed 300',
    '< A 9010 ack 1000           ESTABLISHED reversed [ASSURED] 432000',
  ],
  [
    'retransmissions: after three of the same, a shorter life',
    ...EXCHANGED,
    '< A 9001 ack 1501   ESTABLISHED [ASSURED] 432000',
    '< A 9001 ack 1501   ESTABLISHED [ASSURED] 432000',
    '< A 9001 ack 1501   ESTABLISHED [ASSURED] 300',
    '> A 1501 ack 9001   ESTABLISHED [ASSURED] 432000',
  ],
  ['a closed window shortens the life', ...OPENED, '< A 9001 ack 1001 win 0   ESTABLISHED [ASSURED] 300'],
];

const BY_SYSCTL: readonly (readonly [title: string, sysctl: Sysctl, cases: readonly Case[]])[] = [
  ['settings as Linux has them', {}, STANDARD],
  [
    'nf_conntrack_tcp_be_liberal and not tcp_loose',
    { tcp_be_liberal: '1', tcp_loose: '0' },
    [
      ['tcp_be_liberal=1: out of the window', ...OPENED, '> PA 900000 ack 9001 len 10   ESTABLISHED [ASSURED]'],
      ['tcp_be_liberal=1: an old reset all the same', ...EXCHANGED, '> R 1400   invalid ESTABLISHED [ASSURED]'],
      [
        'tcp_loose=0: nothing is picked up in the middle',
        '> A 1000 ack 9000   invalid -',
        '> S 1000            SYN_SENT [UNREPLIED]',
      ],
    ],
  ],
  [
    'nf_conntrack_tcp_ignore_invalid_rst, tcp_max_retrans and every tcp_timeout_*',
    {
      ...{ tcp_ignore_invalid_rst: '1', tcp_max_retrans: '1' },
      ...{ tcp_timeout_max_retrans: '40', tcp_timeout_unacknowledged: '70' },
      ...{ tcp_timeout_syn_sent: '21', tcp_timeout_syn_recv: '22', tcp_timeout_established: '80' },
      ...{ tcp_timeout_fin_wait: '24', tcp_timeout_close_wait: '25', tcp_timeout_last_ack: '26' },
      ...{ tcp_timeout_time_wait: '27', tcp_timeout_close: '28' },
    },
    [
      [
        'a timeout for every state',
        '> S 1000             SYN_SENT [UNREPLIED] 21',
        '< SA 9000 ack 1001   SYN_RECV 22',
        '> A 1001 ack 9001    ESTABLISHED [ASSURED] 80',
        '> FA 1001 ack 9001   FIN_WAIT [ASSURED] 24',
        '< A 9001 ack 1002    CLOSE_WAIT [ASSURED] 25',
        '< FA 9001 ack 1002   LAST_ACK [ASSURED] 26',
        '> A 1002 ack 9002    TIME_WAIT [ASSURED] 27',
        '> R 1002             CLOSE [ASSURED] 28',
      ],
      [
        'unacknowledged data, and a retransmission too many',
        '> S 1000                   SYN_SENT [UNREPLIED] 21',
        '< SA 9000 ack 1001         SYN_RECV 22',
        '> A 1001 ack 9001          ESTABLISHED [ASSURED] 80',
        '> PA 1001 ack 9001 len 5   ESTABLISHED [ASSURED] 70',
        '> PA 1001 ack 9001 len 5   ESTABLISHED [ASSURED] 40',
        '< A 9001 ack 1006          ESTABLISHED [ASSURED] 80',
        '> R 900                    ESTABLISHED [ASSURED] 28',
      ],
    ],
  ],
];

/** `> S 1000   SYN_SENT [UNREPLIED] 120`: two spaces or more part the segment from what is expected. */
function split(line: string): readonly [segment: string, expected: string] {
  const [segment = '', expected = ''] = line.split(/\s{2,}/);
  return [segment, expected];
}

/** As the expectation says it, with the seconds if it says them. */
function said({ verdict, state, flags, left }: Tracked, expected: string): string {
  const stated = Number(/ (\d+)$/.exec(expected)?.[1]);
  const seconds = Number.isNaN(stated) ? '' : Math.abs(left - stated) <= 2 ? stated : left;
  return [verdict === 'invalid' ? verdict : '', state, flags, seconds].filter((word) => word !== '').join(' ');
}

/** Segments with what is expected of them, or with what became of them. */
function listing(steps: readonly (readonly [string, string])[], tracked?: readonly Tracked[]): string[] {
  return steps.map(([segment, expected], k) => {
    const became = tracked?.[k];
    return `${segment}  ${became === undefined ? expected : said(became, expected)}`;
  });
}

describe.skipIf(requirement.skip)(title, () => {
  it.each(BY_SYSCTL)('%s', async (_title, settings, cases) => {
    const sysctl = Object.fromEntries(Object.entries(settings).map(([k, v]) => [`net.netfilter.nf_conntrack_${k}`, v]));
    const lines = cases.map(([, ...rest]) => rest.map(split));
    const played = await playSegments(
      lines.map((steps) => steps.map(([segment]) => parseSegment(segment))),
      sysctl,
    );
    const stated = Object.fromEntries(cases.map(([name], i) => [name, listing(lines[i] ?? [])]));
    const seen = (tracked: Played['kernel']): object =>
      Object.fromEntries(cases.map(([name], i) => [name, listing(lines[i] ?? [], tracked[i] ?? [])]));
    expect(seen(played.kernel)).toEqual(stated);
    expect(seen(played.engine)).toEqual(stated);
  });

  it('random segments near the edges of windows and states', async () => {
    const random = new SeededRandom(7);
    const scripts = Array.from({ length: 100 }, () => randomScript(random, 20));
    expect(differingScripts(await playSegments(scripts))).toEqual([]);
  });
});
