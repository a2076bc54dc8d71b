/** Extensions that iptables has and this program does not evaluate: named so that errors can tell them from slips. */

export const OTHER_MATCHES: readonly string[] = ['ipvs', 'rateest', 'unclean'];

export const OTHER_TARGETS: readonly string[] = [
  'CLUSTERIP',

  'MIRROR',
  'SAME',
];
