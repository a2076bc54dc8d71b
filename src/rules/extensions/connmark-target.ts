/** `-j CONNMARK`: the connection's mark set, saved from the packet or restored to it (kernel: net/netfilter/xt_connmark.c). */
import type { PacketContext } from '../context.js';
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { parseMark } from '../values/marks.js';
import { hex, parseUnsigned } from '../values/numbers.js';
import { listMarkOperation, MARK_OPERATIONS, parseMarkOperation } from './mark-target.js';
import { argument, exclusive, find, flag, option } from './support.js';

export interface ConnmarkOptions {
  readonly mode: 'set' | 'save' | 'restore';
  /** Only for `set`. */
  readonly value: number;
  /** Mask over the connection's mark. */
  readonly connectionMask: number;
  /** Mask over the packet's mark. */
  readonly packetMask: number;
  /** Bits to the left (negative: to the right). */
  readonly shift: number;
}

const MODES = [...MARK_OPERATIONS, '--save-mark', '--restore-mark'];
const ALL = 0xffffffff;

function parseShift(options: readonly ParsedOption[], context: ParseContext): number {
  exclusive(options, context, '--left-shift-mark', '--right-shift-mark');
  const found = find(options, '--left-shift-mark') ?? find(options, '--right-shift-mark');
  if (found === undefined) return 0;
  const token = argument(found);
  const bits = parseUnsigned(token.text, 32);
  if (bits === undefined) {
    const what = `"${token.text}" is not a number of bits`;
    return context.fail('RULES_BAD_NUMBER', what, token, 'write one from 0 to 32');
  }
  return found.name === '--left-shift-mark' ? bits : -bits;
}

function shifted(value: number, shift: number): number {
  if (shift === 0) return value >>> 0;
  if (Math.abs(shift) > 31) return 0;
  return shift > 0 ? (value << shift) >>> 0 : value >>> -shift;
}

function parseMasks(options: readonly ParsedOption[], context: ParseContext): [packet: number, connection: number] {
  exclusive(options, context, '--mask', '--nfmask');
  exclusive(options, context, '--mask', '--ctmask');
  const read = (name: string): number | undefined => {
    const found = find(options, name);
    return found === undefined ? undefined : parseMark(argument(found), context);
  };
  const both = read('--mask');
  return [both ?? read('--nfmask') ?? ALL, both ?? read('--ctmask') ?? ALL];
}

function shiftWords(shift: number): string {
  if (shift === 0) return '';
  return shift > 0 ? `left-shift-mark ${shift}` : `right-shift-mark ${-shift}`;
}

function listMasks({ mode, packetMask, connectionMask }: ConnmarkOptions): string {
  if (packetMask === ALL && connectionMask === ALL) return '';
  if (packetMask === connectionMask) return ` mask ${hex(packetMask)}`;
  if (mode === 'save') return ` nfmask ${hex(packetMask)} ctmask ~${hex(connectionMask)}`;
  return ` ctmask ${hex(connectionMask)} nfmask ~${hex(packetMask)}`;
}

function apply(options: ConnmarkOptions, packet: PacketContext): void {
  const { mode, value, connectionMask, packetMask, shift } = options;
  const { connection } = packet;
  if (connection === undefined) return;
  if (mode === 'set') connection.setMark(shifted((connection.mark & ~connectionMask) ^ value, shift));
  else if (mode === 'save') {
    const saved = shifted(packet.mark & packetMask, shift);
    connection.setMark(((connection.mark & ~connectionMask) ^ saved) >>> 0);
  } else {
    const restored = shifted(connection.mark & connectionMask, shift);
    packet.setMark(((packet.mark & ~packetMask) ^ restored) >>> 0);
  }
}

export const connmarkTarget: TargetExtension<ConnmarkOptions> = {
  kind: 'target',
  name: 'CONNMARK',
  summary: "sets the connection's mark, saves it from the packet or restores it to it",
  families: [4, 6],
  options: [
    ...MARK_OPERATIONS.map((name) => option(false, name)),
    flag(false, '--save-mark'),
    flag(false, '--restore-mark'),
    option(false, '--left-shift-mark'),
    option(false, '--right-shift-mark'),
    option(false, '--nfmask'),
    option(false, '--ctmask'),
    option(false, '--mask'),
  ],
  parse(options, context) {
    exclusive(options, context, ...MODES);
    const found = options.find((candidate) => MODES.includes(candidate.name));
    if (found === undefined) {
      const advice = 'add --set-mark, --save-mark or --restore-mark';
      return context.fail('RULES_MISSING_OPTION', 'CONNMARK needs an operation', undefined, advice);
    }
    const shift = parseShift(options, context);
    if (found.name === '--save-mark' || found.name === '--restore-mark') {
      const [packetMask, connectionMask] = parseMasks(options, context);
      const mode = found.name === '--save-mark' ? 'save' : 'restore';
      return { mode, value: 0, connectionMask, packetMask, shift };
    }
    const stray = options.find(({ name }) => name === '--mask' || name === '--nfmask' || name === '--ctmask');
    if (stray !== undefined) {
      const advice = 'write the mask with the value: --set-xmark 0x1/0xff';
      context.fail('RULES_OPTIONS_EXCLUDE', `${stray.name} is for --save-mark and --restore-mark`, stray.token, advice);
    }
    const { value, mask } = parseMarkOperation(found, context);
    return { mode: 'set', value, connectionMask: mask, packetMask: ALL, shift };
  },
  print(options) {
    const { mode, value, connectionMask, packetMask, shift } = options;
    const tail = shift === 0 ? '' : ` --${shiftWords(shift)}`;
    if (mode === 'set') return ` --set-xmark ${hex(value)}/${hex(connectionMask)}${tail}`;
    return ` --${mode}-mark --nfmask ${hex(packetMask)} --ctmask ${hex(connectionMask)}${tail}`;
  },
  list(options) {
    const { mode, value, connectionMask, shift } = options;
    const tail = shift === 0 ? '' : ` ${shiftWords(shift)}`;
    if (mode === 'set') return `CONNMARK ${listMarkOperation({ value, mask: connectionMask })}${tail}`;
    return `CONNMARK ${mode}${listMasks(options)}${tail}`;
  },
  compile(options) {
    return { kind: 'effect', apply: (packet) => apply(options, packet) };
  },
};
