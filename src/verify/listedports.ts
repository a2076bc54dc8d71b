/**
 * Source ports by a listing of the kernel's connections (`conntrack -L`): what the kernel drew for packets that nobody
 * saw again, since the host dropped them behind POSTROUTING, as they came back to it over loopback.
 */
import { formatAddress } from '../host/address.js';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../packet/transport.js';
import type { Tuple } from '../packet/tuple.js';

export class ListedPorts {
  /** By protocol number and original tuple; undefined: connections of several zones have it. */
  readonly #ports = new Map<string, number | undefined>();

  constructor(listing: string) {
    for (const line of listing.split('\n')) {
      const protocol = /^\s*\S+\s+(\d+)/.exec(line)?.[1];
      const values = [...line.matchAll(/\b(src|dst|sport|dport|id)=(\S+)/g)];
      const [original, reply] = halves(values);
      const port = Number(reply.get('dport') ?? reply.get('id'));
      if (protocol === undefined || Number.isNaN(port)) continue;
      const ports = original.get('id') ?? `${original.get('sport')} ${original.get('dport')}`;
      const key = `${protocol} ${original.get('src')} ${original.get('dst')} ${ports}`;
      this.#ports.set(key, this.#ports.has(key) ? undefined : port);
    }
  }

  /** The source port, or ICMP id, that a connection left POSTROUTING with; undefined: it is not listed. `original`: as it came. */
  sourcePort({
    family,
    protocol,
    source,
    destination,
    sourcePort,
    destinationPort,
  }: Readonly<Tuple>): number | undefined {
    const ports = isIcmp(protocol) ? `${sourcePort}` : `${sourcePort} ${destinationPort}`;
    return this.#ports.get(
      `${protocol} ${formatAddress(family, source)} ${formatAddress(family, destination)} ${ports}`,
    );
  }
}

const isIcmp = (protocol: number): boolean => protocol === PROTO_ICMP || protocol === PROTO_ICMPV6;

/** What is said of the original and of the reply tuple, which begins with the second `src=`. */
function halves(values: readonly RegExpExecArray[]): readonly [Map<string, string>, Map<string, string>] {
  const second = values.findIndex(([, name], i) => i > 0 && name === 'src');
  const at = second < 0 ? values.length : second;
  const mapOf = (part: readonly RegExpExecArray[]) => new Map(part.map(([, name = '', value = '']) => [name, value]));
  return [mapOf(values.slice(0, at)), mapOf(values.slice(at))];
}
