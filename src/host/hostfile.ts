/** Host files: JSON made of what iproute2 itself prints (see hostschema.ts), read into a description. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { NatreplayError } from '../errors.js';
import { parseAddress } from './address.js';
import {
  type HostDescription,
  type InterfaceDescription,
  makeAddress,
  type RuleDescription,
  vlanByName,
  withLoopback,
} from './description.js';
import { type AddressJson, type HostFile, hostSchema, type LinkJson, type RuleJson } from './hostschema.js';
import { findJsonMistake } from './jsonplace.js';
import { makeHost } from './machine.js';
import { describeRoutes } from './routejson.js';
import { describeRule, isStandard } from './rulejson.js';
import type { Family, Host, InterfaceAddress, LinkKind } from './types.js';

/** Reads a host file. Errors: HOST_FILE_UNREADABLE, HOST_FILE_NOT_JSON, HOST_FILE_SHAPE. */
export function hostFromFile(path: string): Host {
  return makeHost(describeHostFile(path));
}

export function describeHostFile(path: string): HostDescription {
  return describeHostText(readText(path), path);
}

/** `file` is the name errors give. */
export function describeHostText(text: string, file: string): HostDescription {
  const checked = hostSchema.safeParse(parseJson(text, file));
  if (!checked.success) throw shapeError(checked.error, file);
  return describe(checked.data);
}

const READ_ERRORS: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  ENOENT: ['there is no such host file', "make one with 'natreplay snapshot -o FILE' on the host"],
  EACCES: ['the host file may not be read', 'check its permissions'],
  EISDIR: ['this is a directory, not a host file', 'name the JSON file in it'],
};

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    const [what, advice] = READ_ERRORS[code] ?? [`the host file cannot be read (${code})`, undefined];
    throw new NatreplayError('HOST_FILE_UNREADABLE', what, { file: path, advice, cause });
  }
}

function parseJson(text: string, file: string): unknown {
  const json = text.startsWith('\ufeff') ? text.slice(1) : text;
  try {
    return JSON.parse(json);
  } catch (cause) {
    const { line, column, found } = findJsonMistake(json);
    const advice =
      'a host file is what natreplay snapshot writes: {"addr": <ip -j addr>, "route": <ip -j route show table all>, ...}';
    throw new NatreplayError('HOST_FILE_NOT_JSON', `not JSON: did not expect ${found}`, {
      file,
      line,
      column,
      advice,
      cause,
    });
  }
}

function shapeError(error: z.ZodError, file: string): NatreplayError {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`),
    '',
  );
  const what = `not a host file: ${path === '' ? '' : `at ${path}: `}${issue?.message ?? 'wrong shape'}`;
  const advice = 'its parts are what ip -j addr and ip -j route show table all print';
  return new NatreplayError('HOST_FILE_SHAPE', what, { file, advice });
}

function describe(json: HostFile): HostDescription {
  const interfaces = withLoopback(json.addr.flatMap(describeInterface));
  const sysctl = new Map(Object.entries(json.sysctl ?? {}));
  const { routes, assumptions } = describeRoutes(json, interfaces, sysctl);
  const rules = describeRules(json.rule, 4, assumptions);
  const rules6 = describeRules(json.rule6, 6, assumptions);
  const { iptables, ip6tables, ipset } = json;
  return { interfaces, routes, rules, rules6, sysctl, iptables, ip6tables, ipset, assumptions };
}

/** Undefined where they are those of a fresh kernel, or not known to be others. */
function describeRules(
  json: readonly RuleJson[] | undefined,
  family: Family,
  assumptions: string[],
): RuleDescription[] | undefined {
  if (json === undefined) return undefined;
  const rules = json.map((rule) => describeRule(rule, family, assumptions));
  return isStandard(rules, family) ? undefined : rules;
}

function describeInterface(link: LinkJson): InterfaceDescription[] {
  if (link.ifname === undefined) return [];
  const flags = link.flags;
  return [
    {
      name: link.ifname,
      ifindex: link.ifindex,
      mac: parseMac(link.address),
      mtu: link.mtu ?? 1500,
      loopback: flags?.includes('LOOPBACK') ?? link.ifname === 'lo',
      up: flags?.includes('UP') ?? true,
      master: link.master,
      ...(link.linkinfo?.info_slave_data?.hairpin === true ? { hairpin: true } : {}),
      ...kindOf(link),
      addresses: (link.addr_info ?? []).flatMap(describeAddress),
    },
  ];
}

/** `eth0.100` below `eth0` is a VLAN device even where `ip addr` was asked without `-d`. */
function kindOf(link: LinkJson): { link?: LinkKind } {
  const { info_kind: kind, info_data: data } = link.linkinfo ?? {};
  if (kind === 'bridge') {
    const on = (value: number | boolean | undefined): boolean => value === 1 || value === true;
    return {
      link: { kind, callIptables: on(data?.nf_call_iptables), callIp6tables: on(data?.nf_call_ip6tables) },
    };
  }
  const named = vlanByName(link.ifname ?? '');
  const parent = link.link ?? named?.parent;
  const id = kind === 'vlan' ? data?.id : kind === undefined && parent === named?.parent ? named?.id : undefined;
  if (id === undefined || parent === undefined) return {};
  return { link: { kind: 'vlan', parent, id, protocol: data?.protocol === '802.1ad' ? 0x88a8 : 0x8100 } };
}

/** `02:42:ac:11:00:01` as six bytes, undefined if it is none. */
export function parseMac(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || !/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
}

function describeAddress(info: AddressJson): InterfaceAddress[] {
  const address = parseAddress(info.local ?? info.address ?? '');
  if (address === undefined) return [];
  const { family, words } = address;
  const peer = info.local === undefined || info.address === undefined ? undefined : parseAddress(info.address, family);
  const broadcast = info.broadcast === undefined ? undefined : parseAddress(info.broadcast, 4);
  const made = makeAddress(family, words, Math.min(info.prefixlen ?? 128, family === 4 ? 32 : 128));
  return [
    {
      ...made,
      broadcast: broadcast?.words[0],
      scope: scopeOf(info.scope) ?? made.scope,
      // iproute2 calls a temporary IPv6 address secondary too; only IPv4 knows the difference natreplay needs.
      secondary: info.secondary === true,
      peer: peer?.words,
      ...(info.tentative === true || info.dadfailed === true ? { tentative: true } : {}),
      ...(info.deprecated === true ? { deprecated: true } : {}),
      ...(info.noprefixroute === true ? { noPrefixRoute: true } : {}),
    },
  ];
}

function scopeOf(scope: string | number | undefined): InterfaceAddress['scope'] | undefined {
  switch (scope) {
    case 'global':
    case 'site':
    case 'link':
    case 'host':
      return scope;
    default:
      return undefined;
  }
}
