/** A packet for a match to look at, and a host to ask, for tests: only what is set matters. */

import { parseAddress } from '../../src/host/address.js';
import type { Family, Host, HostInterface, RouteType } from '../../src/host/types.js';
import {
  type ConnectionView,
  MATCHES,
  type PacketContext,
  parseRules,
  type TargetAction,
  type TargetUse,
} from '../../src/rules/index.js';
import { SharedState } from '../../src/rules/state/shared.js';

export function words(text: string): Uint32Array {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  return address.words;
}

export function fakeHost(parts: {
  readonly types?: Readonly<Record<string, RouteType>>;
  readonly interfaces?: readonly HostInterface[];
  readonly gateway?: string;
}): Host {
  const interfaces = parts.interfaces ?? [];
  const types = new Map(Object.entries(parts.types ?? {}).map(([text, type]) => [words(text).join(), type]));
  return {
    interfaces,
    interfaceByName: (name) => interfaces.find((iface) => iface.name === name),
    interfaceByIfindex: () => undefined,
    route: () => ({
      type: 'unicast',
      iface: 0,
      gateway: parts.gateway === undefined ? undefined : words(parts.gateway),
      preferredSource: undefined,
      metric: 0,
    }),
    lookUp: () => undefined,
    routingDependsOn: () => ({ any: false, source: false, ingress: false, mark: false, tos: false, ports: false }),
    checksSourcesByRoute: false,
    prefixes4: [],
    inferred: false,
    addressType: (_, address) => types.get(address.join()) ?? 'unicast',
    sysctl: () => undefined,
    iptables: undefined,
    ip6tables: undefined,
    ipset: undefined,
    assumptions: [],
  };
}

export interface FakePacket extends PacketContext {
  mark: number;
  dropped: boolean;
}

export interface PacketParts {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  /** Layer-4 bytes. */
  readonly l4?: readonly number[];
  readonly fragmentOffset?: number;
  readonly state?: number;
  readonly connection?: ConnectionView;
  readonly mark?: number;
  readonly hook?: PacketContext['hook'];
  readonly inInterface?: number;
  readonly outInterface?: number;
  readonly seconds?: number;
  readonly nanoseconds?: number;
  readonly ttl?: number;
  readonly totalLength?: number;
  readonly sourceMac?: readonly number[];
}

export function packet(parts: PacketParts = {}): FakePacket {
  const l4 = parts.l4 ?? [];
  const l3 = 14;
  const bytes = new Uint8Array(l3 + 20 + l4.length);
  if (parts.sourceMac !== undefined) bytes.set(parts.sourceMac, 6);
  bytes[l3 + 8] = parts.ttl ?? 64;
  bytes.set(l4, l3 + 20);
  const fake: FakePacket = {
    host: fakeHost({}),
    family: 4,
    hook: parts.hook ?? 'FORWARD',
    inInterface: parts.inInterface ?? -1,
    outInterface: parts.outInterface ?? -1,
    source: words(parts.source ?? '192.0.2.1'),
    destination: words(parts.destination ?? '198.51.100.1'),
    protocol: parts.protocol ?? 6,
    bytes,
    view: new DataView(bytes.buffer),
    l3,
    l4: l3 + 20,
    end: bytes.length,
    sourceMac: parts.sourceMac === undefined ? undefined : 6,
    totalLength: parts.totalLength ?? 20 + l4.length,
    fragmentOffset: parts.fragmentOffset ?? 0,
    state: parts.state ?? 1,
    connection: parts.connection,
    mark: parts.mark ?? 0,
    setMark(value) {
      fake.mark = value;
    },
    dropped: false,
    hotDrop() {
      fake.dropped = true;
    },
    insert() {
      throw new Error('a fake packet cannot grow');
    },
    loadAddresses() {},
    seconds: parts.seconds ?? 0,
    nanoseconds: parts.nanoseconds ?? 0,
  };
  return fake;
}

/** A TCP header with these ports and flags. */
export function tcpHeader(
  source: number,
  destination: number,
  flags = 0x02,
  options: readonly number[] = [],
): number[] {
  const header = [source >> 8, source & 255, destination >> 8, destination & 255, 0, 0, 0, 0, 0, 0, 0, 0];
  return [...header, ((20 + options.length) / 4) << 4, flags, 0, 0, 0, 0, 0, 0, ...options];
}

const HOST = fakeHost({});

/** Compiles the matches of a rule: all must hold, as in the kernel. */
export function matching(
  rule: string,
  host: Host = HOST,
  family: Family = 4,
  random32 = () => 0,
): (packet: PacketContext) => boolean {
  const text = `*filter\n:t - [0:0]\n-A t ${rule}\nCOMMIT\n`;
  const ruleset = parseRules(text, { file: 'rules', family, unsupported: 'stop' });
  const [parsed] = ruleset.tables.get('filter')?.chains.get('t')?.rules ?? [];
  const tests = (parsed?.matches ?? []).map((use) => {
    const extension = MATCHES.get(use.extension.name);
    if (extension === undefined) throw new Error(use.extension.name);
    return extension.compile(use.options, { host, family, random32, shared: new SharedState(host) });
  });
  return (context) => tests.every((test) => test(context));
}

/** Compiles the target of a rule. */
export function targetOf(table: string, rule: string, host: Host = HOST): TargetAction {
  const text = `*${table}\n:t - [0:0]\n-A t ${rule}\nCOMMIT\n`;
  const ruleset = parseRules(text, { file: 'rules', family: 4, unsupported: 'stop' });
  let target: TargetUse | undefined;
  for (const found of ruleset.tables.values()) target = found.chains.get('t')?.rules[0]?.target;
  if (target?.kind !== 'extension') throw new Error(rule);
  return target.extension.compile(target.options, {
    host,
    family: 4,
    random32: () => 0,
    shared: new SharedState(host),
  });
}

export function connection(parts: Partial<ConnectionView> & { mark?: number } = {}): ConnectionView & { mark: number } {
  const view = {
    mark: 0,
    setMark(value: number): void {
      view.mark = value;
    },
    original: true,
    protocol: 6,
    originalSource: words('192.0.2.1'),
    originalDestination: words('198.51.100.1'),
    originalSourcePort: 40000,
    originalDestinationPort: 8799,
    replySource: words('172.17.0.3'),
    replyDestination: words('192.0.2.1'),
    replySourcePort: 1337,
    replyDestinationPort: 40000,
    seenReply: false,
    assured: false,
    confirmed: true,
    expiresIn: 119.5,
    ...parts,
  };
  return view;
}
