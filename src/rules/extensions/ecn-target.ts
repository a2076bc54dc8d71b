/** `-j ECN`: takes ECN out of TCP's handshake, or sets the bits of IP (kernel: net/ipv4/netfilter/ipt_ECN.c). */
import { TCP_CHECKSUM, TCP_DATA_OFFSET, TCP_FLAGS, TCP_MIN_HEADER } from '../../packet/transport.js';
import type { PacketContext } from '../context.js';
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { dsField, mend, setDsField } from './dsfield.js';
import { TCP_CWR, TCP_ECE } from './ecn.js';
import { argument, exclusive, find, flag, has, option, requireOne } from './support.js';

export interface EcnTargetOptions {
  readonly ece: number | undefined;
  readonly cwr: number | undefined;
  readonly ect: number | undefined;
}

const REMOVE = '--ecn-tcp-remove';
const NAMES = [REMOVE, '--ecn-tcp-cwr', '--ecn-tcp-ece', '--ecn-ip-ect'] as const;

function parseOptions(options: readonly ParsedOption[], context: ParseContext): EcnTargetOptions {
  requireOne(options, 'ECN', context, ...NAMES);
  exclusive(options, context, REMOVE, '--ecn-tcp-cwr');
  exclusive(options, context, REMOVE, '--ecn-tcp-ece');
  const bit = (name: string, max: number): number | undefined => {
    const found = find(options, name);
    return found === undefined ? undefined : parseNumber(argument(found), 0, max, context);
  };
  const remove = has(options, REMOVE) ? 0 : undefined;
  const parsed = {
    ece: remove ?? bit('--ecn-tcp-ece', 1),
    cwr: remove ?? bit('--ecn-tcp-cwr', 1),
    ect: bit('--ecn-ip-ect', 3),
  };
  const asksTcp = parsed.ece !== undefined || parsed.cwr !== undefined;
  if (asksTcp && (context.protocol !== 6 || context.protocolNegated))
    context.fail(
      'RULES_WRONG_PROTOCOL',
      'the TCP options of ECN need -p tcp',
      undefined,
      'name the protocol in the rule',
    );
  return parsed;
}

function setTcpBits(packet: PacketContext, { ece, cwr }: EcnTargetOptions): void {
  const { view, l3, end } = packet;
  const tcp = l3 + ((view.getUint8(l3) & 0x0f) << 2);
  if (end - tcp < TCP_MIN_HEADER) {
    packet.hotDrop();
    return;
  }
  let flags = view.getUint8(tcp + TCP_FLAGS);
  if (ece !== undefined) flags = ece === 1 ? flags | TCP_ECE : flags & ~TCP_ECE;
  if (cwr !== undefined) flags = cwr === 1 ? flags | TCP_CWR : flags & ~TCP_CWR;
  if (flags === view.getUint8(tcp + TCP_FLAGS)) return;
  const before = view.getUint16(tcp + TCP_DATA_OFFSET, true);
  view.setUint8(tcp + TCP_FLAGS, flags);
  mend(view, tcp + TCP_CHECKSUM, before, view.getUint16(tcp + TCP_DATA_OFFSET, true));
}

export const ecnTarget: TargetExtension<EcnTargetOptions> = {
  kind: 'target',
  name: 'ECN',
  summary: 'takes ECN out of TCP, or sets its bits',
  families: [4],
  tables: ['mangle'],
  options: [flag(false, REMOVE), option(false, NAMES[1]), option(false, NAMES[2]), option(false, NAMES[3])],
  parse: parseOptions,
  print({ ece, cwr, ect }) {
    if (ece === 0 && cwr === 0 && ect === undefined) return ` ${REMOVE}`;
    let text = ece === undefined ? '' : ` --ecn-tcp-ece ${ece}`;
    if (cwr !== undefined) text += ` --ecn-tcp-cwr ${cwr}`;
    if (ect !== undefined) text += ` --ecn-ip-ect ${ect}`;
    return text;
  },
  list({ ece, cwr, ect }) {
    if (ece === 0 && cwr === 0 && ect === undefined) return 'ECN TCP remove';
    let text = 'ECN';
    if (ece !== undefined) text += ` ECE=${ece}`;
    if (cwr !== undefined) text += ` CWR=${cwr}`;
    if (ect !== undefined) text += ` ECT codepoint=${ect}`;
    return text;
  },
  compile(options) {
    const { ece, cwr, ect } = options;
    return {
      kind: 'effect',
      apply(packet) {
        const field = dsField(packet);
        if (ect !== undefined && (field & 3) !== ect) setDsField(packet, (field & 0xfc) | ect);
        if ((ece !== undefined || cwr !== undefined) && packet.protocol === 6) setTcpBits(packet, options);
      },
    };
  },
};
