/** How listings word the matches (iptables 1.8.9, and the older forms that are found in what people have kept). */
import { type Phrase, type PhraseContext, phrase } from './phrases.js';

type Groups = readonly (string | undefined)[];

const not = (negation: string | undefined): string[] => (negation === undefined ? [] : ['!']);
const given = (option: string, value: string | undefined): string[] => (value === undefined ? [] : [option, value]);
const set = (option: string, word: string | undefined): string[] => (word === undefined ? [] : [option]);

/** A port ends at a blank, or where iptables before 1.4.9 forgot it: `dpt:22flags: 0x17/0x02`. */
const PORT = '(?:spt|dpt)s?:\\S+?(?=flags:|\\s|$)';

/** `tcp spt:80 dpts:!1:9 option=5 flags:0x17/0x02`: a word for the protocol, then what it asks for. */
function portPhrase(protocol: string): Phrase {
  const asked = `(?: +|(?=flags:))(?:${PORT}|option=\\S+|flags: ?\\S+)`;
  return phrase(protocol, `${protocol}((?:${asked})*)`, ([text = '']) => {
    const words = ['-m', protocol];
    for (const [, what = '', bang, value = ''] of text.matchAll(
      /(spt|dpt|option|flags)s?[:=] ?(!)?(\S+?)(?=flags:|\s|$)/g,
    ))
      words.push(...(bang === undefined ? [] : ['!']), ...portOption(what, value));
    return words;
  });
}

function portOption(what: string, value: string): string[] {
  if (what === 'spt') return ['--sport', value];
  if (what === 'dpt') return ['--dport', value];
  if (what === 'option') return ['--tcp-option', value];
  const [mask = '', wanted = ''] = value.split('/');
  return ['--tcp-flags', flagNames(mask), flagNames(wanted)];
}

const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'];

/** `0x17` -> `FIN,SYN,RST,ACK`; names are left as they are. */
function flagNames(text: string): string {
  if (!/^0x[0-9a-f]{1,2}$/i.test(text)) return text;
  const bits = Number(text);
  return FLAGS.filter((_, i) => (bits & (1 << i)) !== 0).join(',') || 'NONE';
}

/** `icmptype 3 code 4`, `icmp type 8`, `icmp !type 8`, `icmp echo-request`, `icmp any`. */
function icmpPhrases(name: string, listed: string, option: string): Phrase[] {
  const numbered = ([bang, type = '', code]: Groups): string[] => {
    return ['-m', name, ...not(bang), option, code === undefined ? type : `${type}/${code}`];
  };
  return [
    phrase(name, `${listed}( !| )?type (\\d+)(?: code (\\d+))?`, ([bang, ...rest]) =>
      numbered([bang?.trim() === '!' ? '!' : undefined, ...rest]),
    ),
    phrase(name, `${listed} (!)?([A-Za-z][A-Za-z-]*)`, ([bang, type = '']) => ['-m', name, ...not(bang), option, type]),
  ];
}

const CONNTRACK = [
  'ctstate',
  'ctproto',
  'ctorigsrc',
  'ctorigdst',
  'ctreplsrc',
  'ctrepldst',
  'ctorigsrcport',
  'ctorigdstport',
  'ctreplsrcport',
  'ctrepldstport',
  'ctstatus',
  'ctexpire',
  'ctdir',
];

/** What one `-m conntrack` asks stands in a fixed order; where it begins anew, another one begins. */
function conntrackWords([text = '']: Groups, context: PhraseContext): string[] {
  const words: string[] = [];
  let last = Number.POSITIVE_INFINITY;
  for (const [, bang, name = '', value = ''] of text.matchAll(/(! )?(ct[a-z]+) +(\S+)/g)) {
    const place = CONNTRACK.indexOf(name);
    if (place <= last) words.push('-m', 'conntrack');
    last = place;
    words.push(...not(bang), `--${name}`, /(?:src|dst)$/.test(name) ? context.address(value) : value);
  }
  return words;
}

function addrtypeWords([sourceNot, source, destinationNot, destination, limit]: Groups): string[] {
  const words = ['-m', 'addrtype'];
  if (source !== undefined) words.push(...not(sourceNot), '--src-type', source);
  if (destination !== undefined) words.push(...not(destinationNot), '--dst-type', destination);
  return [...words, ...set(`--limit-iface-${limit}`, limit)];
}

const OWNERS: readonly (readonly [RegExp, string])[] = [
  [/(! )?owner socket exists/, '--socket-exists'],
  [/(! )?owner UID match (\S+)/, '--uid-owner'],
  [/(! )?owner GID match (\S+)/, '--gid-owner'],
  [/()?incl\. suppl\. groups/, '--suppl-groups'],
];

function ownerWords([text = '']: Groups): string[] {
  const words = ['-m', 'owner'];
  for (const [pattern, option] of OWNERS) {
    const match = pattern.exec(text);
    if (match === null) continue;
    words.push(...(match[1] === '! ' ? ['!'] : []), option, ...(match[2] === undefined ? [] : [match[2]]));
  }
  return words;
}

function iprangeWords([text = '']: Groups): string[] {
  const words = ['-m', 'iprange'];
  for (const [, side, bang, range = ''] of text.matchAll(/(source|destination) IP range (! )?(\S+)/g))
    words.push(...not(bang), side === 'source' ? '--src-range' : '--dst-range', range);
  return words;
}

function recentWords([bang, action = '', seconds, reap, hits, ttl, name = '', side = '', mask]: Groups): string[] {
  const option = action === 'CHECK' ? '--rcheck' : `--${action.toLowerCase()}`;
  return [
    ...['-m', 'recent', ...not(bang), option, ...given('--seconds', seconds), ...set('--reap', reap)],
    ...[...given('--hitcount', hits), ...set('--rttl', ttl), '--name', name, ...given('--mask', mask)],
    side === 'source' ? '--rsource' : '--rdest',
  ];
}

const HASHLIMIT =
  'limit: (up to|above) (\\S+)(?: burst (\\S+))?(?: mode (\\S+))?(?: htable-size (\\d+))?(?: htable-max (\\d+))?' +
  '(?: htable-gcinterval (\\d+))?(?: htable-expire (\\d+))?(?: srcmask (\\d+))?(?: dstmask (\\d+))?';

/** Listings don't show the name of the hash table, which must have one. */
function hashlimitWords([
  how,
  rate = '',
  burst,
  mode,
  size,
  max,
  interval,
  expire,
  source,
  destination,
]: Groups): string[] {
  return [
    ...['-m', 'hashlimit', how === 'above' ? '--hashlimit-above' : '--hashlimit-upto', rate],
    ...[...given('--hashlimit-burst', burst), ...given('--hashlimit-mode', mode?.replaceAll('-', ','))],
    ...[
      '--hashlimit-name',
      'listed',
      ...given('--hashlimit-htable-size', size),
      ...given('--hashlimit-htable-max', max),
    ],
    ...[...given('--hashlimit-htable-gcinterval', interval), ...given('--hashlimit-htable-expire', expire)],
    ...[...given('--hashlimit-srcmask', source), ...given('--hashlimit-dstmask', destination)],
  ];
}

/** XT_MAX_COMMENT_LEN less its end. */
const LONGEST_COMMENT = 255;

/** `/* text *\/`; the text may hold the end of a comment itself. */
const comment: Phrase = {
  name: 'comment',
  *read(text, at) {
    if (!text.startsWith('/* ', at)) return;
    const most = at + LONGEST_COMMENT + 3;
    for (let end = text.indexOf(' */', at + 2); end >= 0 && end <= most; end = text.indexOf(' */', end + 1))
      yield { end: end + 3, words: ['-m', 'comment', '--comment', text.slice(at + 3, end)] };
  },
};

const HOPS: Readonly<Record<string, string>> = { '==': 'eq', '!=': 'eq', '<': 'lt', '>': 'gt' };

function hopPhrase(name: 'ttl' | 'hl'): Phrase {
  const title = name.toUpperCase();
  return phrase(name, `${title} match ${title} (==|!=|<|>) (\\d+)`, ([sign = '', value = '']) => {
    return ['-m', name, ...(sign === '!=' ? ['!'] : []), `--${name}-${HOPS[sign]}`, value];
  });
}

function statisticWords([, bang, probability, everyNot, every = '', packet = '0']: Groups): string[] {
  if (probability !== undefined)
    return ['-m', 'statistic', '--mode', 'random', ...not(bang), '--probability', probability];
  return ['-m', 'statistic', '--mode', 'nth', ...not(everyNot), '--every', every, '--packet', packet];
}

function connlimitWords([side, bits = '', sign, count = '']: Groups): string[] {
  const limit = sign === '>' ? '--connlimit-above' : '--connlimit-upto';
  return [
    '-m',
    'connlimit',
    limit,
    count,
    '--connlimit-mask',
    bits,
    side === 'src' ? '--connlimit-saddr' : '--connlimit-daddr',
  ];
}

function stringWords([bang, hex, plain, algorithm = '', from, to, icase]: Groups): string[] {
  return [
    ...[
      '-m',
      'string',
      ...not(bang),
      ...given('--hex-string', hex),
      ...given('--string', plain?.replace(/\\(["\\])/g, '$1')),
      '--algo',
      algorithm,
    ],
    ...[...given('--from', from), ...given('--to', to === '65535' ? undefined : to), ...set('--icase', icase)],
  ];
}

/** One or more of a kind of words, blanks between. */
const sequence = (unit: string): string => `(${unit}(?: +${unit})*)`;

export const MATCH_PHRASES: readonly Phrase[] = [
  comment,
  ...['tcp', 'udp', 'udplite', 'sctp', 'dccp'].map(portPhrase),
  ...icmpPhrases('icmp', 'icmp', '--icmp-type'),
  ...icmpPhrases('icmp6', 'ipv6-icmp', '--icmpv6-type'),
  phrase('multiport', 'multiport (sports|dports|ports) +(!)?(\\S+)', ([which, bang, ports = '']) => {
    return ['-m', 'multiport', ...not(bang), `--${which}`, ports];
  }),
  phrase('state', '(! )?state (\\S+)', ([bang, states = '']) => ['-m', 'state', ...not(bang), '--state', states]),
  phrase('conntrack', sequence(`(?:! )?(?:${CONNTRACK.join('|')}) +\\S+`), conntrackWords),
  phrase(
    'addrtype',
    'ADDRTYPE match(?: src-type (!)?(\\S+))?(?: dst-type (!)?(\\S+))?(?: limit-(in|out))?',
    addrtypeWords,
  ),
  phrase('mark', '(?:mark|MARK) match (! ?)?(0x\\S+)', ([bang, mark = '']) => [
    '-m',
    'mark',
    ...not(bang),
    '--mark',
    mark,
  ]),
  phrase('connmark', '(?:connmark|CONNMARK) match *(!)? *(0x\\S+)', ([bang, mark = '']) => {
    return ['-m', 'connmark', ...not(bang), '--mark', mark];
  }),
  phrase('limit', 'limit: avg (\\S+) burst (\\d+)', ([rate = '', burst = '']) => {
    return ['-m', 'limit', '--limit', rate, '--limit-burst', burst];
  }),
  phrase('hashlimit', HASHLIMIT, hashlimitWords),
  phrase('length', 'length (!)?(\\d+(?::\\d+)?)', ([bang, range = '']) => [
    '-m',
    'length',
    ...not(bang),
    '--length',
    range,
  ]),
  hopPhrase('ttl'),
  hopPhrase('hl'),
  phrase('tos', '(?:tos|TOS) match ?(!)?(0x\\S+)', ([bang, value = '']) => ['-m', 'tos', ...not(bang), '--tos', value]),
  phrase('dscp', 'DSCP match (!)?(0x\\S+)', ([bang, value = '']) => ['-m', 'dscp', ...not(bang), '--dscp', value]),
  phrase('mac', 'MAC (! ?)?([0-9A-Fa-f:]{17})', ([bang, mac = '']) => ['-m', 'mac', ...not(bang), '--mac-source', mac]),
  phrase('pkttype', 'PKTTYPE (=|!=) (\\S+)', ([sign, type = '']) => {
    return ['-m', 'pkttype', ...(sign === '!=' ? ['!'] : []), '--pkt-type', type];
  }),
  phrase(
    'physdev',
    'PHYSDEV match((?: (?:! )?--physdev-(?:(?:in|out) \\S+|is-in|is-out|is-bridged))+)',
    ([options = '']) => ['-m', 'physdev', ...options.trim().split(/ +/)],
  ),
  phrase('owner', sequence('(?:(?:! )?owner (?:socket exists|[UG]ID match \\S+)|incl\\. suppl\\. groups)'), ownerWords),
  phrase('iprange', sequence('(?:source|destination) IP range (?:! )?\\S+'), iprangeWords),
  phrase(
    'statistic',
    'statistic mode (?:(random) (! )?probability (\\S+)|nth (! )?every (\\d+)(?: packet (\\d+))?)',
    statisticWords,
  ),
  phrase(
    'recent',
    '(! )?recent: (SET|CHECK|UPDATE|REMOVE)(?: +seconds: (\\d+))?( +reap)?(?: +hit_count: (\\d+))?( +TTL-Match)?' +
      ' +name: (\\S+) side: (source|dest)(?: +mask: (\\S+))?',
    recentWords,
  ),
  phrase('connlimit', '#conn (src|dst)/(\\S+) (>|<=|!>) (\\d+)', connlimitWords),
  phrase('set', '(! )?(?:match-set|set) (\\S+) ((?:src|dst)(?:,(?:src|dst))*)', ([bang, name = '', flags = '']) => {
    return ['-m', 'set', ...not(bang), '--match-set', name, flags];
  }),
  phrase(
    'string',
    'STRING match (! )?(?: *"(\\|[^"]*\\|)"| *"(.*?)") ALGO name (\\S+)(?: FROM (\\d+))?(?: TO (\\d+))?( ICASE)?',
    stringWords,
  ),
  phrase('tcpmss', 'tcpmss match (!)?(\\d+(?::\\d+)?)', ([bang, value = '']) => [
    '-m',
    'tcpmss',
    ...not(bang),
    '--mss',
    value,
  ]),
  phrase('helper', 'helper match (! )?"([^"]*)"', ([bang, name = '']) => [
    '-m',
    'helper',
    ...not(bang),
    '--helper',
    name,
  ]),
  phrase('u32', 'u32 (! )?"([^"]*)"', ([bang, test = '']) => ['-m', 'u32', ...not(bang), '--u32', test]),
  phrase('rpfilter', 'rpfilter( loose)?( validmark)?( accept-local)?( invert)?', ([loose, mark, local, invert]) => {
    return [
      '-m',
      'rpfilter',
      ...set('--loose', loose),
      ...set('--validmark', mark),
      ...set('--accept-local', local),
      ...set('--invert', invert),
    ];
  }),
  phrase('quota', '(! )?quota: (\\d+) bytes', ([bang, bytes = '']) => ['-m', 'quota', ...not(bang), '--quota', bytes]),
  phrase('policy', 'policy match dir (in|out) pol (none|ipsec)( strict)?', ([way = '', kind = '', strict]) => {
    return ['-m', 'policy', '--dir', way, '--pol', kind, ...set('--strict', strict)];
  }),
  phrase('cpu', 'cpu (! )?(\\d+)', ([bang, cpu = '']) => ['-m', 'cpu', ...not(bang), '--cpu', cpu]),
  phrase('nfacct', 'nfacct-name +(\\S+)', ([name = '']) => ['-m', 'nfacct', '--nfacct-name', name]),
];
