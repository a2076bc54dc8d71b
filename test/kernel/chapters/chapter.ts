/**
 * A chapter of what is known about Linux: cases in the language of packets (language.ts), each held against natreplay,
 * against the running kernel, and the two against each other: every byte, every rule's counters, every connection.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFile } from '../../../src/host/hostschema.js';
import { describeMismatch, ipPacket } from '../../../src/verify/compare.js';
import { differingFields } from '../../../src/verify/fields.js';
import {
  type Backend,
  FROM_HOST,
  type Gateway,
  HOST_COMMAND,
  type KernelPacket,
  neededCommands,
} from '../../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../../src/verify/listings.js';
import { needs } from '../../support/requirements.js';
import { countedFrom, Gateways } from '../gateways.js';
import {
  build,
  type InStep,
  inherit,
  learnNames,
  type Names,
  parseScript,
  TO_HOST,
  unknownNames,
} from '../language.js';
import { ether, say } from '../packets.js';
import { comparePrediction, connectionsText, countersText, Prediction } from '../prediction.js';
import type { SentPacket, TrafficRun } from '../traffic.js';
import { onlyTablesOf, saveText, withAllTables } from './rules.js';

export interface Case {
  /** The fact, in words. */
  readonly name: string;
  /** Default: the chapter's. */
  readonly host?: HostFile;
  /** As typed: `-t nat -A POSTROUTING -o wan -j MASQUERADE`. Default: the chapter's. */
  readonly rules?: readonly string[];
  /** Who is at the ports of bridges. Default: the chapter's. */
  readonly stations?: Stations;
  /** In the language of packets. */
  readonly script: string;
  /** Lines of `iptables-save -c` that must be there, with their table in front: `nat :INPUT ACCEPT [1:28]`. */
  readonly counters?: readonly string[];
  /**
   * All the connections there are: `tcp 120 SYN_SENT 192.168.1.9:4000 > 198.51.100.1:80 [UNREPLIED] ...`, the seconds
   * left out where they say nothing; `*` stands for anything, a port's name for the port.
   */
  readonly connections?: readonly string[];
  /** Where the two backends differ: the one of which this is true, and which is asked. */
  readonly backend?: Backend;
}

/** By name; everybody who is no more than a MAC address has no IP addresses. */
export type Stations = Readonly<Record<string, { readonly mac: string; readonly addresses?: readonly string[] }>>;

/** What one packet became. */
interface Fate {
  readonly where: string;
  /** The bridge whose port that is: what left by it left by the bridge. */
  readonly bridge?: string | undefined;
  readonly packet: Uint8Array;
}

/** A host that packets can be sent through: natreplay's, or the kernel's own. */
interface Judge {
  /** In the order of the packets, what became of each. */
  send(packets: readonly KernelPacket[]): Promise<readonly (readonly Fate[])[]>;
  wait(seconds: number): Promise<void>;
  /** `iptables-save -c` and `conntrack -L` text. */
  counters(): Promise<string>;
  connections(): Promise<string>;
}

export interface ChapterDefaults {
  readonly host: HostFile;
  readonly rules: readonly string[];
  readonly stations?: Stations;
  /**
   * The kernel is asked with these. Default: iptables-legacy alone, since both evaluate the same modules and the fuzzer
   * covers iptables-nft too.
   */
  readonly backends?: readonly Backend[];
  /** Files by which the running kernel shows that it has what the chapter asks about. */
  readonly kernelFiles?: readonly string[];
}

const BACKENDS: readonly Backend[] = ['legacy', 'nft'];

export function chapter(title: string, defaults: ChapterDefaults, cases: readonly Case[]): void {
  const { host, rules, stations = {}, backends = ['legacy'], kernelFiles = [] } = defaults;
  const complete = cases.map((test) => ({ host, rules, stations, ...test }));
  describe(`${title}: natreplay`, () => {
    it.each(complete.map((test) => [test.name, test] as const))('%s', async (_name, test) => {
      const judge = new Replay(test.host, saveText(test.rules), test.backend ?? 'legacy');
      expect(await problems(test, judge)).toEqual([]);
    });
  });
  const commands = [...BACKENDS.flatMap(neededCommands), HOST_COMMAND];
  const requirement = needs({ root: true, commands, files: kernelFiles });
  const suffix = requirement.skip ? ` (${requirement.reason})` : '';
  for (const backend of BACKENDS) {
    const asked = complete.filter((test) =>
      test.backend === undefined ? backends.includes(backend) : test.backend === backend,
    );
    if (asked.length === 0) continue;
    describe.skipIf(requirement.skip)(`${title}: the running kernel, iptables-${backend}${suffix}`, () => {
      const gateways = new Gateways();
      afterAll(() => gateways.close());
      it.each(asked.map((test) => [test.name, test] as const))('%s', async (_name, test) => {
        const rules = saveText(test.rules);
        const options = { host: test.host, rules: withAllTables(rules), backend, ...onBridges(test) };
        const kernel = new Kernel(await gateways.get(options), rules);
        expect(await problems(test, kernel)).toEqual([]);
        expect(await differences(test, rules, backend, kernel)).toEqual([]);
      });
    });
  }
}

/** What a gateway has to know of who is at the ports of bridges. */
function onBridges({ host, stations }: Required<Pick<Case, 'host' | 'stations'>>) {
  const ports = host.addr.flatMap(({ ifname, master }) =>
    ifname === undefined || master === undefined ? [] : [{ ifname, master }],
  );
  if (ports.length === 0) return {};
  const all = Object.values(stations);
  return {
    senders: ports.flatMap(({ ifname }) => all.map(({ mac }) => ({ iface: ifname, mac }))),
    stations: [...new Set(ports.map(({ master }) => master))].flatMap((iface) =>
      all.flatMap(({ mac, addresses = [] }) => addresses.map((address) => ({ iface, address, mac }))),
    ),
  };
}

/** Everything in which the judge's answers are not what the case expects. */
export async function problems(test: Case, judge: Judge): Promise<string[]> {
  const names: Names = new Map();
  const found: string[] = [];
  let pending: InStep[] = [];
  const flush = async (): Promise<void> => {
    const steps = pending;
    pending = [];
    const fates = await judge.send(steps.map((step) => frameOf(step, names, test.stations)));
    steps.forEach((step, i) => {
      found.push(...wrongWith(step, fates[i] ?? [], names));
    });
  };
  for (const step of parseScript(test.script)) {
    if (step.kind === 'wait') {
      await flush();
      await judge.wait(step.seconds);
      continue;
    }
    if (unknownNames(step.packet, names).length > 0) await flush();
    pending.push(step);
  }
  await flush();
  if (test.counters !== undefined) found.push(...missingCounters(test.counters, await judge.counters()));
  if (test.connections !== undefined) {
    found.push(...wrongConnections(test.connections, await judge.connections(), names));
  }
  return found;
}

function frameOf(step: InStep, names: Names, stations: Stations = {}): KernelPacket {
  const { words } = step.packet;
  const frame = Buffer.concat([ether(build(step.packet, names)), Buffer.alloc(Number(words['pad'] ?? 0))]);
  const address = (name: string): Buffer => Buffer.from((stations[name]?.mac ?? '').replaceAll(':', ''), 'hex');
  if (words['to'] !== undefined) frame.set(address(words['to']), 0);
  if (words['from'] !== undefined) frame.set(address(words['from']), 6);
  return { iface: step.iface, frame };
}

function wrongWith(step: InStep, fates: readonly Fate[], names: Names): string[] {
  const places = (list: readonly { readonly where: string }[]): string => list.map(({ where }) => where).join(', ');
  const agree = step.expected.every(({ where }, i) => where === fates[i]?.where || where === fates[i]?.bridge);
  if (!agree || fates.length !== step.expected.length) {
    const seen = fates.map((fate) => `${fate.where} ${say(fate.packet)}`).join(', ');
    return [`${step.line}: expected ${places(step.expected) || 'drop'}, became ${seen || 'nothing'}`];
  }
  return step.expected.flatMap((expected, i) => {
    const seen = fates[i]?.packet ?? new Uint8Array(0);
    const routed = expected.where !== TO_HOST && step.iface !== FROM_HOST && expected.keepsTtl !== true;
    const packet = inherit(expected.packet, step.packet, routed ? 1 : 0);
    const wrong = learnNames(packet, seen, names);
    const fields = differingFields(seen, build(packet, names)).map((f) => `${f.field} ${f.kernel}, not ${f.predicted}`);
    const all = wrong === undefined ? fields : [wrong, ...fields];
    return all.map((difference) => `${step.line}: became ${say(seen)}: ${difference}`);
  });
}

function missingCounters(wanted: readonly string[], text: string): string[] {
  let table = '';
  const lines = text.split('\n').map((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    return `${table} ${line.trim()}`;
  });
  return wanted
    .filter((line) => !lines.includes(line))
    .map((line) => {
      const like = lines.filter((other) => other.replace(/\d+:\d+/, '') === line.replace(/\d+:\d+/, ''));
      return `no counter ${line}, but ${like.join(', ') || 'nothing like it'}`;
    });
}

function wrongConnections(wanted: readonly string[], text: string, names: Names): string[] {
  const lines = text.split('\n').flatMap((line) => (line.includes('src=') ? [readable(line)] : []));
  const found: string[] = [];
  for (const pattern of wanted) {
    const at = lines.findIndex((line) => fits(line, pattern, names));
    if (at < 0) found.push(`no connection ${pattern}`);
    else lines.splice(at, 1);
  }
  return [...found, ...lines.map((line) => `unexpected connection ${line}`)];
}

/** `tcp 119 SYN_SENT 192.168.1.9:4000 > 198.51.100.1:80 [UNREPLIED] ...` of a line of `conntrack -L`. */
function readable(line: string): string {
  return line
    .trim()
    .replace(/^(\S+)\s+\d+\s+/, '$1 ')
    .replace(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g, '$1:$3 > $2:$4')
    .replace(/src=(\S+) dst=(\S+)/g, '$1 > $2')
    .replace(/ use=\d+$/, '')
    .replace(/ mark=0$/, '');
}

/** A second may have passed where the kernel counts. */
function fits(line: string, pattern: string, names: Names): boolean {
  const [, protocol = '', seconds = '', rest = ''] = /^(\S+) (\d+) (.*)$/.exec(line) ?? [];
  const [, wantedProtocol = '', wantedSeconds, wantedRest = ''] = /^(\S+) (?:(\d+) )?(.*)$/.exec(pattern) ?? [];
  const left = Number(wantedSeconds) - Number(seconds);
  if (protocol !== wantedProtocol || (wantedSeconds !== undefined && left !== 0 && left !== 1)) return false;
  const named = wantedRest.replace(/\$\w+/g, (name) => String(names.get(name) ?? name));
  const escaped = named.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`).test(rest);
}

/** Where kernel and natreplay differ over the packets that the kernel was just sent. */
async function differences(
  test: Case & Pick<ChapterDefaults, 'host'>,
  rules: string,
  backend: Backend,
  kernel: Kernel,
): Promise<string[]> {
  const prediction = new Prediction(test.host, rules, { backend });
  const { mismatches } = comparePrediction(kernel.run, prediction);
  const listings = [
    ...compareCounters(await kernel.counters(), countersText(prediction)),
    ...compareConntrack(await kernel.connections(), connectionsText(prediction)),
  ];
  return [
    ...mismatches.map((m) => `${describeMismatch(m)} ${m.why}`),
    ...listings.map((l) => `${l.what}: kernel ${l.kernel}, natreplay ${l.predicted}`),
  ];
}

class Replay implements Judge {
  readonly #prediction: Prediction;
  #time = 1_700_000_000_000;

  constructor(host: HostFile, rules: string, backend: Backend) {
    this.#prediction = new Prediction(host, rules, { backend });
  }

  async send(packets: readonly KernelPacket[]): Promise<readonly (readonly Fate[])[]> {
    return packets.map((packet) => {
      this.#time++;
      const outputs = this.#prediction.outputs({ ...packet, time: this.#time });
      return outputs.map(({ iface, frame }) => ({ where: iface, packet: ipPacket(frame) }));
    });
  }

  async wait(seconds: number): Promise<void> {
    this.#time += seconds * 1000;
  }

  async counters(): Promise<string> {
    return countersText(this.#prediction);
  }

  async connections(): Promise<string> {
    return connectionsText(this.#prediction);
  }
}

class Kernel implements Judge {
  readonly packets: SentPacket[] = [];
  #run: TrafficRun = { packets: [], outputs: [], delivered: [] };
  #first: number | undefined;

  constructor(
    readonly gateway: Gateway,
    readonly rules: string,
  ) {}

  /** Everything sent so far, numbered from 0. */
  get run(): TrafficRun {
    return this.#run;
  }

  async send(packets: readonly KernelPacket[]): Promise<readonly (readonly Fate[])[]> {
    this.#first ??= this.gateway.sent;
    const first = this.#first;
    const before = this.#run.packets.length;
    const time = Date.now();
    const { outputs, delivered } = countedFrom(first, await this.gateway.send(packets));
    this.#run = {
      packets: [...this.#run.packets, ...packets.map((packet) => ({ ...packet, time }))],
      outputs: [...this.#run.outputs, ...outputs],
      delivered: [...this.#run.delivered, ...delivered],
    };
    return packets.map((_, i) => [
      ...outputs
        .filter((o) => o.input === before + i)
        .map((o) => ({ where: o.iface, bridge: o.bridge, packet: ipPacket(o.frame) })),
      ...delivered.filter((d) => d.input === before + i).map((d) => ({ where: TO_HOST, packet: d.packet })),
    ]);
  }

  async wait(seconds: number): Promise<void> {
    await sleep(seconds * 1000);
  }

  async counters(): Promise<string> {
    return onlyTablesOf(this.rules, await this.gateway.counters());
  }

  connections(): Promise<string> {
    return this.gateway.conntrack();
  }
}
