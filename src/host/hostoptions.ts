/**
 * A host stated by hand:
 *   --iface eth0=192.0.2.1/24,2001:db8::1/64   an interface and its addresses (commas; none: `veth1=`)
 *   --iface eth0@02:42:c0:00:02:01=192.0.2.1/24   with its MAC address
 *   --route default=192.0.2.254@eth0           next hop and interface
 *   --route 10.1.0.0/16=10.0.0.9               next hop; its interface is looked up
 *   --route 10.0.0.0/8=@eth1                   on the link
 *   --route default6=@ppp0, ::/0=...           IPv6
 *   --route 198.18.0.0/15=blackhole            or unreachable, prohibit, throw
 * Together with a host file they replace what it says of that interface or that prefix.
 */
import { NatreplayError } from '../errors.js';
import {
  addressBits,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  sameAddress,
} from './address.js';
import {
  EMPTY_HOST,
  type HostDescription,
  type InterfaceDescription,
  LOOPBACK_ADDRESSES,
  makeAddress,
  orderAddresses,
  type RouteDescription,
  vlanByName,
  withLoopback,
} from './description.js';
import { describeHostFile, parseMac } from './hostfile.js';
import { anycastRoutes, kernelRoutes } from './kernelroutes.js';
import { makeHost } from './machine.js';
import { forwards6 } from './routejson.js';
import { routeTables } from './routetables.js';
import type { Family, Host, HostInterface, InterfaceAddress, RouteType } from './types.js';

export interface HostOptions {
  /** Values of `--iface`, in order. */
  readonly iface?: readonly string[] | undefined;
  /** Values of `--route`, in order. */
  readonly route?: readonly string[] | undefined;
}

/** Errors: HOST_BAD_IFACE, HOST_BAD_ROUTE. */
export function hostFromOptions(options: HostOptions): Host {
  return makeHost(applyOptions(EMPTY_HOST, options));
}

/** The host of a file, of options, or of a file with options over it; undefined if nothing is stated. */
export function statedHost(stated: HostOptions & { readonly file?: string | undefined }): Host | undefined {
  const description = statedDescription(stated);
  return description === undefined ? undefined : makeHost(description);
}

/** The same, before it is made into something that answers questions. */
export function statedDescription(
  stated: HostOptions & { readonly file?: string | undefined },
): HostDescription | undefined {
  const { file, iface = [], route = [] } = stated;
  if (file === undefined && iface.length === 0 && route.length === 0) return undefined;
  return applyOptions(file === undefined ? EMPTY_HOST : describeHostFile(file), stated);
}

export function applyOptions(base: HostDescription, options: HostOptions): HostDescription {
  const stated = mergeSameName((options.iface ?? []).map(parseInterface));
  const routes6 = forwards6(base.sysctl);
  let interfaces = withLoopback(base.interfaces);
  let routes = base.interfaces.length === 0 ? kernelRoutesOf(interfaces, routes6) : base.routes;
  for (const option of stated) {
    const old = interfaces.find((iface) => iface.name === option.name);
    const made = makeInterface(option, old);
    interfaces = old === undefined ? [...interfaces, made] : interfaces.map((iface) => (iface === old ? made : iface));
    routes = [
      ...routes.filter((route) => !(route.kernel && route.device === made.name)),
      ...kernelRoutesOf([made], routes6),
    ];
  }
  for (const text of options.route ?? []) {
    const route = parseRoute(text, interfaces, routes);
    routes = [...routes.filter((other) => !samePrefix(route, other)), route];
  }
  return { ...base, interfaces, routes };
}

/** `routes6`: the host is an IPv6 router, which has anycast addresses. */
function kernelRoutesOf(interfaces: readonly InterfaceDescription[], routes6: boolean): RouteDescription[] {
  return [
    ...interfaces.flatMap((iface) => kernelRoutes(iface, 4)),
    ...interfaces.flatMap((iface) => [...kernelRoutes(iface, 6), ...(routes6 ? anycastRoutes(iface) : [])]),
  ];
}

function samePrefix(a: RouteDescription, b: RouteDescription): boolean {
  return (
    a.family === b.family && a.table === b.table && a.prefixLength === b.prefixLength && sameAddress(a.words, b.words)
  );
}

interface InterfaceOption {
  readonly name: string;
  readonly mac: Uint8Array | undefined;
  readonly addresses: readonly InterfaceAddress[];
}

function parseInterface(text: string): InterfaceOption {
  const fail = (what: string): never => {
    const advice = 'write --iface NAME=ADDRESS/LENGTH[,ADDRESS/LENGTH...], e.g. eth0=192.0.2.1/24,2001:db8::1/64';
    throw new NatreplayError('HOST_BAD_IFACE', `--iface ${text}: ${what}`, { advice });
  };
  const equals = text.indexOf('=');
  if (equals < 0) return fail("there is no '='");
  const [name = '', macText] = splitOnce(text.slice(0, equals), '@');
  if (!isInterfaceName(name)) return fail(`'${name}' is no interface name`);
  const mac = parseMac(macText);
  if (macText !== undefined && mac === undefined) return fail(`'${macText}' is no MAC address`);
  const list = text.slice(equals + 1);
  const addresses =
    list === '' ? [] : list.split(',').map((item) => parseOwnAddress(item) ?? fail(`'${item}' is no address`));
  return { name, mac, addresses };
}

function parseOwnAddress(text: string): InterfaceAddress | undefined {
  const prefix = parsePrefix(text.trim());
  return prefix && makeAddress(prefix.family, prefix.words, prefix.prefixLength);
}

/** dev_valid_name: up to 15 bytes, no slash, colon or white space. */
export function isInterfaceName(name: string): boolean {
  return name.length > 0 && name.length <= 15 && name !== '.' && name !== '..' && !/[/:\s]/.test(name);
}

function mergeSameName(options: readonly InterfaceOption[]): InterfaceOption[] {
  const byName = new Map<string, InterfaceOption>();
  for (const option of options) {
    const first = byName.get(option.name);
    const addresses = [...(first?.addresses ?? []), ...option.addresses];
    byName.set(option.name, { name: option.name, mac: option.mac ?? first?.mac, addresses });
  }
  return [...byName.values()];
}

function makeInterface(option: InterfaceOption, old: InterfaceDescription | undefined): InterfaceDescription {
  const loopback = old?.loopback ?? option.name === 'lo';
  const kept = loopback
    ? LOOPBACK_ADDRESSES.filter((own) => !option.addresses.some((a) => sameAddress(a.words, own.words)))
    : [];
  const vlan = vlanByName(option.name);
  const link = old?.link ?? (vlan === undefined ? undefined : { kind: 'vlan' as const, ...vlan, protocol: 0x8100 });
  return {
    name: option.name,
    ifindex: old?.ifindex,
    mac: option.mac ?? old?.mac,
    mtu: old?.mtu ?? (loopback ? 65536 : 1500),
    loopback,
    up: true,
    master: old?.master,
    ...(old?.hairpin === undefined ? {} : { hairpin: old.hairpin }),
    ...(link === undefined ? {} : { link }),
    addresses: orderAddresses([...kept, ...option.addresses]),
  };
}

type Fail = (what: string, advice?: string) => never;

function parseRoute(
  text: string,
  interfaces: readonly InterfaceDescription[],
  routes: readonly RouteDescription[],
): RouteDescription {
  const fail: Fail = (
    what,
    advice = 'write --route PREFIX=[GATEWAY][@IFACE], e.g. default=192.0.2.254@eth0 or 10.0.0.0/8=@eth1',
  ) => {
    throw new NatreplayError('HOST_BAD_ROUTE', `--route ${text}: ${what}`, { advice });
  };
  const [destination = '', hop] = splitOnce(text, '=');
  if (hop === undefined) return fail("there is no '='");
  const [gatewayText = '', deviceText] = splitOnce(hop, '@');
  const special = SPECIAL_TYPES.find((type) => type === gatewayText && deviceText === undefined);
  const gateway = gatewayText === '' || special !== undefined ? undefined : parseAddress(gatewayText);
  if (gatewayText !== '' && special === undefined && gateway === undefined)
    return fail(`'${gatewayText}' is no address`);
  const prefix = parseDestination(destination, gateway?.family, fail);
  if (gateway !== undefined && gateway.family !== prefix.family)
    return fail('prefix and gateway are of different families');
  const device =
    special === undefined ? deviceOf(deviceText, gateway?.words, prefix.family, interfaces, routes, fail) : undefined;
  return {
    ...prefix,
    type: special ?? 'unicast',
    table: 'main',
    device,
    gateway: gateway?.words,
    preferredSource: undefined,
    metric: prefix.family === 6 ? 1024 : 0,
    linkdown: false,
    kernel: false,
  };
}

const SPECIAL_TYPES = ['blackhole', 'unreachable', 'prohibit', 'throw'] as const satisfies readonly RouteType[];

/** `default` is of the gateway's family, `default4` and `default6` say theirs. */
function parseDestination(text: string, gatewayFamily: Family | undefined, fail: Fail): Prefix {
  const everything = /^default([46]?)$/.exec(text);
  if (everything !== null) {
    const family = everything[1] === '6' ? 6 : everything[1] === '4' ? 4 : (gatewayFamily ?? 4);
    return { family, words: new Uint32Array(4), prefixLength: 0 };
  }
  const prefix = parsePrefix(text) ?? fail(`'${text}' is no prefix`);
  const network = networkOf(prefix.family, prefix.words, prefix.prefixLength);
  if (!sameAddress(network, prefix.words)) {
    const right = formatPrefix(prefix.family, network, prefix.prefixLength);
    return fail(`'${text}' has bits set behind its prefix`, `write ${right}${hostHint(prefix)}`);
  }
  return prefix;
}

function hostHint(prefix: Prefix): string {
  const bits = addressBits(prefix.family);
  return prefix.prefixLength === bits ? '' : ` or ${formatPrefix(prefix.family, prefix.words, bits)}`;
}

function deviceOf(
  stated: string | undefined,
  gateway: Uint32Array | undefined,
  family: Family,
  interfaces: readonly InterfaceDescription[],
  routes: readonly RouteDescription[],
  fail: Fail,
): string {
  if (stated !== undefined) {
    if (interfaces.some((iface) => iface.name === stated)) return stated;
    return fail(`there is no interface '${stated}'`, `state it too: --iface ${stated}=ADDRESS/LENGTH`);
  }
  if (gateway === undefined) return fail('neither a gateway nor an interface is given');
  const named: readonly HostInterface[] = interfaces.map((iface, index) => ({ ...iface, index }));
  const tables = routeTables(family, routes, new Map(named.map((iface) => [iface.name, iface])));
  const found = tables.route(family, gateway);
  const device = found?.type === 'unicast' && found.gateway === undefined ? named[found.iface]?.name : undefined;
  return device ?? fail('no interface has the gateway on its link', 'add the interface: GATEWAY@IFACE');
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
