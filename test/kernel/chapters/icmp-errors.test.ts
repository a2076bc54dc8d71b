/** ICMP errors about translated connections, and ICMP that is no error. */
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const PUBLISH = '-t nat -A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80';

/** A masqueraded query, which the errors below are about. */
const QUERY = `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 len 12
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
`;
/** A translated connection from outside, likewise. */
const PUBLISHED_SYN = `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 S
`;

const ERRORS: readonly Case[] = [
  {
    name: 'embedded addresses and ports are translated back, and the checksums of the embedded headers with them',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 ttl 55 }
      out lan  icmp 198.51.100.1 > 192.168.1.9 about { udp 192.168.1.9:4000 > 198.51.100.1:53 }
    `,
  },
  {
    name: 'an embedded ICMP id is translated back',
    script: `
      in  lan  icmp 192.168.1.9 > 198.51.100.1 ping 7
      out wan  icmp 203.0.113.5 > 198.51.100.1 ping 7
      in  lan  icmp 192.168.1.10 > 198.51.100.1 ping 7 data natreplay
      out wan  icmp 203.0.113.5 > 198.51.100.1 ping $id(0-65535 but 7) data natreplay
      in  wan  icmp 198.51.100.9 > 203.0.113.5 time-exceeded about { icmp 203.0.113.5 > 198.51.100.1 ping $id data natreplay }
      out lan  icmp 198.51.100.9 > 192.168.1.10 time-exceeded about { icmp 192.168.1.10 > 198.51.100.1 ping 7 }
    `,
  },
  {
    name: 'a wrong embedded checksum stays as wrong as it was, and the outer one is right',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 bad-checksum }
      out lan  icmp 198.51.100.1 > 192.168.1.9 about { udp 192.168.1.9:4000 > 198.51.100.1:53 }
    `,
  },
  {
    name: "an error from outside keeps the router's source",
    script: `${QUERY}
      in  wan  icmp 100.64.0.1 > 203.0.113.5 time-exceeded about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 ttl 0 }
      out lan  icmp 100.64.0.1 > 192.168.1.9 about { udp 192.168.1.9:4000 > 198.51.100.1:53 }
    `,
  },
  {
    name: "an error from inside gets the flow's public address for a source",
    rules: [PUBLISH],
    script: `${PUBLISHED_SYN}
      in  lan  icmp 192.168.1.20 > 198.51.100.7 unreachable 3 about { tcp 198.51.100.7:40000 > 192.168.1.20:80 S ttl 63 }
      out wan  icmp 203.0.113.5 > 198.51.100.7 about { tcp 198.51.100.7:40000 > 203.0.113.5:8080 S }
    `,
  },
  {
    name: 'an error from inside gets it even when an inside router sent it',
    rules: [PUBLISH],
    script: `${PUBLISHED_SYN}
      in  lan  icmp 192.168.1.254 > 198.51.100.7 unreachable 1 about { tcp 198.51.100.7:40000 > 192.168.1.20:80 S ttl 63 }
      out wan  icmp 203.0.113.5 > 198.51.100.7 about { tcp 198.51.100.7:40000 > 203.0.113.5:8080 S }
    `,
  },
  {
    name: 'eight bytes of the embedded header are enough for ports: TCP cut there gets ports only',
    rules: [PUBLISH],
    script: `${PUBLISHED_SYN}
      in  lan  icmp 192.168.1.20 > 198.51.100.7 unreachable 3 about { tcp 198.51.100.7:40000 > 192.168.1.20:80 S ttl 63 keep 8 }
      out wan  icmp 203.0.113.5 > 198.51.100.7 about { tcp 198.51.100.7:40000 > 203.0.113.5:8080 S }
    `,
  },
  {
    name: 'four to seven embedded bytes of the transport header: dropped',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 keep 4 }
      drop
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 keep 7 }
      drop
    `,
  },
  {
    name: 'no embedded byte of the transport header: INVALID, so the host gets it untranslated',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 keep 0 }
      host same
    `,
  },
  {
    name: 'an error about an unknown flow is INVALID',
    script: `
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4999 > 198.51.100.1:53 len 12 }
      host same
    `,
  },
  {
    name: "an error whose outer destination is not the flow's is INVALID",
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 192.168.1.77 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 }
      out lan  same
    `,
  },
  {
    name: 'an error with a bad ICMP checksum is INVALID',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 bad-checksum about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 }
      host same
    `,
  },
  {
    name: 'an error about a later fragment is INVALID, about a first one it is fine',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 fragment 0x2001 }
      host same
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 fragment 0x2000 }
      out lan  icmp 198.51.100.1 > 192.168.1.9 about { udp 192.168.1.9:4000 > 198.51.100.1:53 }
    `,
  },
  {
    name: 'an error about an error is INVALID',
    script: `${QUERY}
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { icmp 203.0.113.5 > 198.51.100.1 unreachable 1 about { udp 198.51.100.1:53 > 203.0.113.5:4000 } }
      host same
    `,
  },
  {
    name: 'an ICMP redirect about a translated flow is dropped',
    script: `${QUERY}
      in  wan  icmp 203.0.113.1 > 203.0.113.5 redirect word 0xcb007102 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 12 }
      drop
    `,
  },
];

const MESSAGES: readonly Case[] = [
  {
    name: 'echo, timestamp, information and address mask requests start a connection',
    script: `
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 8 echo 1
      out wan  icmp 203.0.113.5 > 198.51.100.1 type 8 echo 1
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 13 echo 2 data timestamps__
      out wan  icmp 203.0.113.5 > 198.51.100.1 type 13 echo 2
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 15 echo 3
      out wan  icmp 203.0.113.5 > 198.51.100.1 type 15 echo 3
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 17 echo 4 data mask
      out wan  icmp 203.0.113.5 > 198.51.100.1 type 17 echo 4
      in  wan  icmp 198.51.100.1 > 203.0.113.5 type 14 echo 2 data timestamps__
      out lan  icmp 198.51.100.1 > 192.168.1.9 type 14 echo 2
    `,
    connections: [
      'icmp 30 192.168.1.9 > 198.51.100.1 type=8 code=0 id=1 [UNREPLIED] 198.51.100.1 > 203.0.113.5 type=0 code=0 id=1',
      'icmp 30 192.168.1.9 > 198.51.100.1 type=13 code=0 id=2 198.51.100.1 > 203.0.113.5 type=14 code=0 id=2',
      'icmp 30 192.168.1.9 > 198.51.100.1 type=15 code=0 id=3 [UNREPLIED] 198.51.100.1 > 203.0.113.5 type=16 code=0 id=3',
      'icmp 30 192.168.1.9 > 198.51.100.1 type=17 code=0 id=4 [UNREPLIED] 198.51.100.1 > 203.0.113.5 type=18 code=0 id=4',
    ],
  },
  {
    name: 'replies without an entry and other types are INVALID, so an inside address leaks out',
    rules: [MASQUERADE, '-A FORWARD -m conntrack --ctstate INVALID'],
    script: `
      in  lan  icmp 192.168.1.9 > 198.51.100.1 pong 1
      out wan  same
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 9 echo 1
      out wan  same
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 10 echo 1
      out wan  same
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 30 echo 1
      out wan  same
      in  lan  icmp 192.168.1.9 > 198.51.100.1 type 42 echo 1
      out wan  same
    `,
    counters: ['filter [5:140] -A FORWARD -m conntrack --ctstate INVALID'],
    connections: [],
  },
  {
    name: 'REJECT drops the packet and leaves no entry, whatever its answer is',
    rules: [MASQUERADE, '-A FORWARD -p tcp -j REJECT --reject-with tcp-reset', '-A FORWARD -j REJECT'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S
      drop
    `,
    counters: [
      'filter [1:40] -A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
      'filter [1:28] -A FORWARD -j REJECT --reject-with icmp-port-unreachable',
    ],
    connections: [],
  },
];

const defaults = { host: HOME_HOST, rules: [MASQUERADE] };
chapter('ICMP errors', defaults, ERRORS);
chapter('ICMP messages', defaults, MESSAGES);
