/** A look at the first packets of a capture, for inferring the host when nothing states it. */
import type { Slab } from '../capture/slab.js';
import type { CaptureInterface } from '../capture/types.js';
import type { Sample } from '../host/infer/infer.js';
import { readPorts } from '../netfilter/conntrack/tuples.js';
import { KIND_IPV4, KIND_IPV4_PORTS, KIND_IPV6, PacketColumns } from '../packet/columns.js';
import { ipv4Destination, ipv4Source } from '../packet/ipv4.js';
import { IPV6_DESTINATION, IPV6_SOURCE, skipExtensionHeaders, type UpperLayer } from '../packet/ipv6.js';
import { parseSlab } from '../packet/parse.js';
import { Tuple } from '../packet/tuple.js';

/** Packets looked at, at the most. */
const MOST = 4096;

export function samplePackets(slab: Slab, interfaces: readonly CaptureInterface[]): Sample[] {
  const columns = new PacketColumns(slab.records.count);
  parseSlab(
    slab,
    columns,
    interfaces.map(({ linkType }) => linkType),
    'ignore',
  );
  const samples: Sample[] = [];
  for (let i = 0; i < Math.min(slab.records.count, MOST); i++) {
    const described = interfaces[slab.records.source[i] ?? 0];
    const sample = sampleOf(slab.view, columns, i, described?.assignedName ?? described?.name);
    if (sample !== undefined) samples.push(sample);
  }
  return samples;
}

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

function sampleOf(view: DataView, columns: PacketColumns, i: number, iface: string | undefined): Sample | undefined {
  const kind = columns.kind[i];
  const ip = columns.l3[i] ?? 0;
  const end = columns.end[i] ?? 0;
  const tuple = new Tuple();
  let l4 = columns.l4[i] ?? 0;
  if (kind === KIND_IPV4 || kind === KIND_IPV4_PORTS) {
    tuple.protocol = columns.protocol[i] ?? 0;
    tuple.source[0] = ipv4Source(view, ip);
    tuple.destination[0] = ipv4Destination(view, ip);
  } else if (kind === KIND_IPV6 && ip + 40 <= end && skipExtensionHeaders(view, ip, end, upper)) {
    tuple.family = 6;
    tuple.protocol = upper.protocol;
    l4 = upper.offset;
    for (let k = 0; k < 4; k++) {
      tuple.source[k] = view.getUint32(ip + IPV6_SOURCE + 4 * k);
      tuple.destination[k] = view.getUint32(ip + IPV6_DESTINATION + 4 * k);
    }
  } else {
    return undefined;
  }
  readPorts(tuple, view, l4, end);
  const { family, source, destination, protocol, destinationPort } = tuple;
  return { iface, family, source, destination, protocol, destinationPort };
}
