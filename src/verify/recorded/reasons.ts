/** What is most likely behind a disagreement, in words for whoever runs the host. */
import type { Host } from '../../host/types.js';
import type { FieldDifference } from '../fields.js';
import { type Anatomy, isSyn } from './packet.js';
import type { Received, Sent } from './store.js';

export function reasonOfMissing(restAgrees: boolean): string {
  return restAgrees
    ? 'other packets of this connection are as predicted: the capture lost the outgoing record, or the host the packet (a full queue, an unknown neighbour)'
    : 'these rules let it pass and the host did not: it has other rules, or dropped it outside of them (rp_filter, no route, an unknown neighbour)';
}

export function reasonOfUnexplained(restAgrees: boolean): string {
  return restAgrees
    ? 'other packets of this connection are as predicted: the capture lost the incoming record'
    : 'no incoming record is its cause: the capture lost it, or it came in before the capture began';
}

export function reasonOfDifference(
  received: Received,
  sent: Sent,
  fields: readonly FieldDifference[],
  host: Host,
): string {
  const { left, rule } = received;
  if (received.why.startsWith('invalid-'))
    return `natreplay could not follow the connection here (${received.why}), so it is not translated: the capture lost packets of it, or the connection differs in what came before`;
  if (left === undefined && received.packet.isTcp && !isSyn(received.packet) && received.verdict === 'local')
    return 'it is in the middle of a connection whose beginning is not in the captures as it should be: they lost packets of it, or the host file has other addresses';
  if (left === undefined) return reasonOfVerdict(received, sent);
  const has = (name: string): boolean => fields.some(({ field }) => field === name || field.endsWith(`.${name}`));
  if (has('egress')) return 'the host routed it elsewhere: its routes, or the address it was translated to, are others';
  if (has('destination'))
    return differs(received.packet, sent.packet, 'destination')
      ? reasonOfDestination(rule, differs(received.packet, left, 'destination'))
      : `these rules change its destination${by(rule)}, the host's do not`;
  if (has('source')) return reasonOfSource(received, sent, left, host);
  if (has('dport')) return "the host's rules send it to another port";
  if (has('sport') || has('id'))
    return 'the host gave it another port: the one it had was in use there by a connection that the captures do not show, or its rules say --random or name other ports';
  if (has('ttl') || has('hop-limit')) return 'a rule or another hop changes its TTL';
  return 'the host has rules that change this field, or natreplay is wrong here: please report it';
}

function reasonOfVerdict({ verdict, why, rule, packet, became }: Received, sent: Sent): string {
  const elsewhere = became !== undefined && differs(became, sent.packet, 'destination');
  if (verdict === 'drop' && elsewhere)
    return `these rules send it to another destination than the host did${by(rule)}, and drop it there (${why})`;
  if (verdict === 'drop') return `these rules drop it (${why}), the host's did not`;
  if (verdict !== 'local') return `natreplay holds it (${why === '' ? verdict : why}), the host sent it on`;
  if (became !== undefined) return `these rules send it to the host itself${by(rule)}, the host's rules sent it on`;
  return differs(packet, sent.packet, 'destination')
    ? "no rule here sends it on, so it is for the host itself; the host's rules have a DNAT for it"
    : 'it is for the host itself by its addresses in the host file, and the host sent it on: that host has other addresses';
}

function reasonOfDestination(rule: string, translated: boolean): string {
  return translated
    ? `the host's rules send it to another destination than${by(rule) === '' ? ' these' : by(rule).replace(' by', '')}`
    : "the host's rules have a DNAT for it that is missing here";
}

function reasonOfSource({ packet, rule }: Received, sent: Sent, left: Anatomy, host: Host): string {
  const onHost = differs(packet, sent.packet, 'source');
  const here = differs(packet, left, 'source');
  if (onHost && !here) {
    const own = host.addressType(sent.packet.version, sent.packet.tuple().source) === 'local';
    return own
      ? 'the host masqueraded it (or translated its source), these rules do not: a rule is missing here, or has another interface or address'
      : 'the host translated its source, these rules do not: a rule is missing here';
  }
  if (!onHost) return `these rules translate its source${by(rule)}, the host's did not`;
  return `the host gave it another source address than${by(rule) === '' ? ' these rules' : by(rule).replace(' by', '')}: another SNAT, or other addresses on its interface`;
}

const by = (rule: string): string => (rule === '' ? '' : ` by ${rule}`);

function differs(a: Anatomy, b: Anatomy, side: 'source' | 'destination'): boolean {
  const [x, y] = [a.tuple()[side], b.tuple()[side]];
  return x.some((word, k) => word !== y[k]);
}
