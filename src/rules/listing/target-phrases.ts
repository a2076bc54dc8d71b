/** How listings word what stands behind the target's name (iptables 1.8.9, and older forms). */
import { type Phrase, phrase } from './phrases.js';

type Groups = readonly (string | undefined)[];

const given = (option: string, value: string | undefined): string[] => (value === undefined ? [] : [option, value]);

/** `to:172.17.0.3:1337 random persistent` */
function translation(name: string, option: string): Phrase {
  return phrase(name, 'to:(\\S+)((?: +(?:random|random-fully|persistent))*)', ([range = '', flags = '']) => {
    return [option, range, ...flagOptions(flags)];
  });
}

function flagOptions(flags: string): string[] {
  return flags
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => `--${word}`);
}

/** `masq ports: 1024-2048 random`; either may be missing. */
function ports(name: string, lead: string): Phrase {
  const flag = '(?:random-fully|random)';
  return phrase(name, `(?:${lead} (\\S+)((?: +${flag})*)|(${flag}(?: +${flag})*))`, ([range, flags, alone]) => {
    return [...given('--to-ports', range), ...flagOptions(flags ?? alone ?? '')];
  });
}

const LOG_FLAGS: readonly (readonly [number, string])[] = [
  [0x01, '--log-tcp-sequence'],
  [0x02, '--log-tcp-options'],
  [0x04, '--log-ip-options'],
  [0x08, '--log-uid'],
  [0x20, '--log-macdecode'],
];

function logWords([flags = '0', level, named = '', prefix]: Groups): string[] {
  const bits = Number(flags);
  const words = level === undefined ? [] : ['--log-level', level === 'warn' ? 'warning' : level];
  for (const [bit, option] of LOG_FLAGS)
    if ((bits & bit) !== 0 || named.split(' ').includes(option.slice('--log-'.length))) words.push(option);
  return prefix === undefined || prefix === '' ? words : [...words, '--log-prefix', prefix];
}

const OPERATIONS: Readonly<Record<string, string>> = {
  and: '--and-mark',
  or: '--or-mark',
  xor: '--xor-mark',
  xset: '--set-xmark',
};

function markWords([operation = '', value = '']: Groups): string[] {
  // An older "set" had no mask, and set the whole mark all the same.
  if (operation === 'set') return ['--set-xmark', `${value}/0xffffffff`];
  return [OPERATIONS[operation] ?? '', value];
}

const SHIFT = '(?: (left|right)-shift-mark (\\d+))?';

function connmarkWords([operation, value, mode, mask, nf1, ct1, ct2, nf2, side, bits]: Groups): string[] {
  const shift = side === undefined ? [] : [`--${side}-shift-mark`, bits ?? '0'];
  if (mode === undefined) return [...markWords([operation, value]), ...shift];
  const [packet, connection] = [mask ?? nf1 ?? nf2, mask ?? ct1 ?? ct2];
  return [`--${mode}-mark`, ...given('--nfmask', packet), ...given('--ctmask', connection), ...shift];
}

function nflogWords([text = '']: Groups): string[] {
  const words: string[] = [];
  for (const [, name = '', quoted, plain = ''] of text.matchAll(/(nflog-[a-z]+) (?:"((?:[^"\\]|\\.)*)"|(\S+))/g))
    words.push(`--${name}`, quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1'));
  return words;
}

function ctWords([text = '']: Groups): string[] {
  const words: string[] = [];
  for (const [, name = '', value] of text.matchAll(
    / (notrack|helper|timeout|ctevents|expevents|zone(?:-orig|-reply)?)(?: (?!notrack)(\S+))?/g,
  ))
    words.push(`--${name}`, ...(value === undefined ? [] : [value]));
  return words;
}

const HOPS: Readonly<Record<string, string>> = { 'set to': 'set', 'increment by': 'inc', 'decrement by': 'dec' };

function hops(name: 'TTL' | 'HL'): Phrase {
  return phrase(name, `${name} (set to|increment by|decrement by) (\\d+)`, ([how = '', value = '']) => {
    return [`--${name.toLowerCase()}-${HOPS[how]}`, value];
  });
}

/** By the name in the target column. */
const PHRASES: readonly Phrase[] = [
  phrase('REJECT', 'reject-with (\\S+)', ([type = '']) => ['--reject-with', type]),
  translation('DNAT', '--to-destination'),
  translation('SNAT', '--to-source'),
  translation('NETMAP', '--to'),
  ports('MASQUERADE', 'masq ports:'),
  ports('REDIRECT', 'redir ports'),
  phrase(
    'LOG',
    'LOG(?: flags (\\d+))?(?: level (\\S+))?((?: (?:tcp-sequence|tcp-options|ip-options|uid|macdecode))*)' +
      '(?: prefix ["`](.*)["\'])? *',
    logWords,
  ),
  phrase('NFLOG', '((?: *nflog-[a-z]+ (?:"(?:[^"\\\\]|\\\\.)*"|\\S+))+)', nflogWords),
  phrase(
    'ULOG',
    'ULOG copy_range (\\d+) nlgroup (\\d+)(?: prefix (?:["`](.*)["\']|(\\S+)))? queue_threshold (\\d+)',
    ([range = '', group = '', quoted, plain, threshold = '']) => [
      ...['--ulog-nlgroup', group, '--ulog-cprange', range, '--ulog-qthreshold', threshold],
      ...given('--ulog-prefix', quoted ?? plain),
    ],
  ),
  phrase('MARK', 'MARK (set|and|or|xor|xset) (\\S+)', markWords),
  phrase(
    'CONNMARK',
    `CONNMARK (?:(set|and|or|xor|xset) (\\S+)|(save|restore)(?: mask (\\S+)| nfmask (\\S+) ctmask ~(\\S+)| ctmask (\\S+) nfmask ~(\\S+))?)${SHIFT}`,
    connmarkWords,
  ),
  phrase('CT', 'CT((?: \\S+)*)', ctWords),
  phrase('TCPMSS', 'TCPMSS (?:clamp to PMTU|set (\\d+))', ([size]) =>
    size === undefined ? ['--clamp-mss-to-pmtu'] : ['--set-mss', size],
  ),
  phrase('CLASSIFY', 'CLASSIFY set (\\S+)', ([kind = '']) => ['--set-class', kind]),
  phrase('CHECKSUM', 'CHECKSUM fill', () => ['--checksum-fill']),
  phrase('AUDIT', 'AUDIT (\\S+)', ([type = '']) => ['--type', type]),
  hops('TTL'),
  hops('HL'),
  phrase('TOS', 'TOS (set|and|or|xor|xset) (\\S+)', ([operation = '', value = '']) => [
    operation === 'set' || operation === 'xset' ? '--set-tos' : `--${operation}-tos`,
    value,
  ]),
  phrase('DSCP', 'DSCP set (\\S+)', ([value = '']) => ['--set-dscp', value]),
  phrase(
    'SET',
    '(add|del|map)-set (\\S+) (\\S+)( exist)?(?: timeout (\\d+))?',
    ([how, name = '', flags = '', exist, timeout]) => [
      ...[`--${how}-set`, name, flags, ...(exist === undefined ? [] : ['--exist'])],
      ...given('--timeout', timeout),
    ],
  ),
  phrase('NFQUEUE', 'NFQUEUE (num|balance) (\\S+)( bypass)?( cpu-fanout)?', ([how, queue = '', bypass, fanout]) => [
    ...[how === 'num' ? '--queue-num' : '--queue-balance', queue],
    ...[...(bypass === undefined ? [] : ['--queue-bypass']), ...(fanout === undefined ? [] : ['--queue-cpu-fanout'])],
  ]),
  phrase('TPROXY', 'TPROXY redirect (\\S+):(\\d+) mark (\\S+)', ([address = '', port = '', mark = '']) => [
    ...['--on-port', port, '--on-ip', address, '--tproxy-mark', mark],
  ]),
  phrase('TEE', 'TEE gw:(\\S+)(?: oif=(\\S+))?', ([gateway = '', iface]) => [
    ...['--gateway', gateway, ...given('--oif', iface)],
  ]),
];

/** The phrases of a target. */
export function targetPhrases(name: string): readonly Phrase[] {
  return PHRASES.filter((phrase) => phrase.name === name);
}
