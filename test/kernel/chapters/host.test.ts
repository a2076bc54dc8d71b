/** What the host itself sends, and the answers to it. */
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const CASES: readonly Case[] = [
  {
    name: 'a packet of the host meets OUTPUT of raw, mangle, nat and filter, then POSTROUTING of mangle and nat, and keeps its TTL',
    rules: [
      '-t raw -A OUTPUT -s 203.0.113.5/32 -o wan',
      '-t mangle -A OUTPUT -s 203.0.113.5/32 -o wan',
      '-t nat -A OUTPUT -d 198.51.100.1/32 -o wan',
      '-A OUTPUT -d 198.51.100.1/32 -o wan -m ttl --ttl-eq 64',
      '-t mangle -A POSTROUTING -s 203.0.113.5/32 -o wan',
      '-t nat -A POSTROUTING -s 203.0.113.5/32 -o wan -j SNAT --to-source 203.0.113.9',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.9:4000 > 198.51.100.1:53
      in  wan    udp 198.51.100.1:53 > 203.0.113.9:4000
      host       udp 198.51.100.1:53 > 203.0.113.5:4000
    `,
    counters: [
      'raw [1:28] -A OUTPUT -s 203.0.113.5/32 -o wan',
      'mangle [1:28] -A OUTPUT -s 203.0.113.5/32 -o wan',
      'nat [1:28] -A OUTPUT -d 198.51.100.1/32 -o wan',
      'filter [1:28] -A OUTPUT -d 198.51.100.1/32 -o wan -m ttl --ttl-eq 64',
      'mangle [1:28] -A POSTROUTING -s 203.0.113.5/32 -o wan',
      'nat [1:28] -A POSTROUTING -s 203.0.113.5/32 -o wan -j SNAT --to-source 203.0.113.9',
    ],
  },
];

chapter('what the host sends', { host: HOME_HOST, rules: [MASQUERADE], backends: ['legacy', 'nft'] }, CASES);
