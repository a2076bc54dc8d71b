/** Cases for IPv6 that share a gateway, since making it takes longer than any of them. */
import type { HostFile } from '../../src/host/hostschema.js';
import { parseRules } from '../../src/rules/index.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { Gateway } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { ether, say } from './packets.js';
import { comparePrediction, connectionsText, counters6Text, Prediction } from './prediction.js';
import { HOME_HOST6 } from './scenarios6.js';

/** A packet (from its IP header on) and the interface it arrives at. */
export type Sent = readonly [iface: string, packet: Uint8Array];

const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';

/** A host (HOME_HOST6 unless told) in the kernel, from case to case with other rules, which must be of the same tables. */
export class OneGateway {
  #gateway: Gateway | undefined;
  #sent = 0;

  constructor(private readonly host: HostFile = HOME_HOST6) {}

  /** Sends the packets through the kernel and through natreplay; returns a line for everything that differs. */
  async ask(rules6: string, sent: readonly Sent[]): Promise<string[]> {
    this.#gateway ??= await Gateway.open({ host: this.host, rules: EMPTY, rules6, backend: 'legacy' });
    const kernel = this.#gateway;
    await kernel.reload(EMPTY, rules6);
    const packets = sent.map(([iface, packet]) => ({ iface, frame: ether(packet), time: Date.now() }));
    const { outputs, delivered } = await kernel.send(packets);
    const first = this.#sent;
    const own = <T extends { readonly input: number }>(seen: T): T => ({ ...seen, input: seen.input - first });
    const run = { packets, outputs: outputs.map(own), delivered: delivered.map(own) };
    this.#sent += packets.length;
    const prediction = new Prediction(this.host, EMPTY, {
      rules6: parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    });
    const { mismatches } = comparePrediction(run, prediction);
    const sentAs = (input: number): string => say(ipPacket(packets[input]?.frame ?? new Uint8Array(14)));
    const listings = [
      ...compareCounters(await kernel.counters6(), counters6Text(prediction)),
      ...compareConntrack(await kernel.conntrack(), connectionsText(prediction)),
    ];
    return [
      ...mismatches.map((m) => `${describeMismatch(m)} [${sentAs(m.input)}] ${m.why}`),
      ...listings.map((l) => `${l.what}: kernel ${l.kernel}, natreplay ${l.predicted}`),
    ];
  }

  async close(): Promise<void> {
    await this.#gateway?.close();
  }
}
