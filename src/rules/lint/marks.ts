/** Marks that are set for nobody, and asked for though nobody sets them. */
import type { ConnmarkOptions } from '../extensions/connmark-target.js';
import type { MarkOptions } from '../extensions/mark.js';
import type { Rule } from '../types.js';
import type { MaskedMark } from '../values/marks.js';
import { hex } from '../values/numbers.js';
import { allRules, hooksOf, type LintContext } from './context.js';
import type { Finding } from './finding.js';

const ALL = 0xffffffff;

/** Bits that somebody sets, or looks at; of packets' marks and of connections'. */
interface Bits {
  packet: number;
  connection: number;
}

export function marks(context: LintContext): Finding[] {
  const rules = [...allRules(context.ruleset)];
  const set: Bits = { packet: 0, connection: 0 };
  const read: Bits = { packet: context.host?.routingDependsOn(context.family).mark === true ? ALL : 0, connection: 0 };
  for (const rule of rules) {
    addTarget(rule, set, read);
    for (const { extension, options } of rule.matches) {
      if (extension.name === 'mark') read.packet |= (options as MarkOptions).mask;
      else if (extension.name === 'connmark') read.connection |= (options as MarkOptions).mask;
      // What is not known to leave marks alone may look at them, or set them.
      else if (extension.name === 'socket') set.packet = ALL;
    }
    if (rule.unsupported) {
      Object.assign(set, { packet: ALL, connection: ALL });
      Object.assign(read, { packet: ALL, connection: ALL });
    }
  }
  return rules.flatMap((rule) => [...neverRead(rule, read, context), ...neverSet(rule, set, context)]);
}

function addTarget({ target }: Rule, set: Bits, read: Bits): void {
  if (target?.kind !== 'extension') return;
  const { options } = target;
  switch (target.extension.name) {
    case 'MARK':
      set.packet |= (options as MaskedMark).value;
      break;
    case 'CONNMARK': {
      const { mode, value, packetMask, connectionMask, shift } = options as ConnmarkOptions;
      if (mode === 'set') set.connection |= shift === 0 ? value : ALL;
      else if (mode === 'save') {
        read.packet |= packetMask;
        set.connection |= shift === 0 ? connectionMask : ALL;
      } else {
        read.connection |= connectionMask;
        set.packet |= shift === 0 ? packetMask : ALL;
      }
      break;
    }
    case 'TPROXY':
      set.packet |= (options as { readonly mark: MaskedMark }).mark.value;
      break;
    case 'HMARK':
    case 'SET':
      set.packet = ALL;
      break;
    // Who gets the packet there gets its mark.
    case 'NFQUEUE':
    case 'CT':
      read.packet = ALL;
      break;
    default:
  }
}

function neverRead(rule: Rule, read: Bits, { host }: LintContext): Finding[] {
  const { target } = rule;
  if (target?.kind !== 'extension') return [];
  const { name } = target.extension;
  const isPacket = name === 'MARK';
  const options = target.options as ConnmarkOptions;
  if (!isPacket && !(name === 'CONNMARK' && options.mode === 'set')) return [];
  const { value } = options;
  if (value === 0 || (value & (isPacket ? read.packet : read.connection)) !== 0) return [];
  const elsewhere = host === undefined ? 'the rules; "ip rule" and tc may' : 'the rules, nor any "ip rule"; tc may';
  return [
    {
      code: 'MARK_NEVER_READ',
      severity: host === undefined || !isPacket ? 'note' : 'warning',
      ...at(rule),
      reason: `the ${isPacket ? 'mark' : "connection's mark"} ${hex(value)} is read nowhere in ${elsewhere}`,
      fix:
        host === undefined
          ? 'state the host (--host), whose routing rules tell; or take it out'
          : 'take it out, or read it',
    },
  ];
}

function neverSet(rule: Rule, set: Bits, { ruleset, reaches }: LintContext): Finding[] {
  return rule.matches.flatMap(({ extension, options }): Finding[] => {
    const isPacket = extension.name === 'mark';
    if (!isPacket && extension.name !== 'connmark') return [];
    const { negated, value } = options as MarkOptions;
    const missing = (value & ~(isPacket ? set.packet : set.connection)) >>> 0;
    if (negated || missing === 0) return [];
    const reach = reaches.get(rule.table);
    const hooks = reach === undefined ? new Set<string>() : hooksOf(rule, reach);
    // Sockets have marks too (SO_MARK), and a file without mangle may be half of the story.
    const sure = ruleset.tables.has('mangle') && !hooks.has('OUTPUT') && !hooks.has('POSTROUTING');
    return [
      {
        code: 'MARK_NEVER_SET',
        severity: sure ? 'warning' : 'note',
        ...at(rule),
        reason: `no rule sets the ${isPacket ? 'mark' : "connection's mark"} ${hex(value)} that it asks for${sure ? '' : '; a program, or a table that is not here, may'}`,
        fix: 'set it before, or correct the mark or its mask',
      },
    ];
  });
}

const at = (rule: Rule) => ({ table: rule.table, chain: rule.chain, rule }) as const;
