/**
 * Asks the running kernel what it makes of packets, and prints the answer as JSON, one object for each input:
 *
 *   npx tsx test/kernel/replay-vs-kernel.ts --rules FILE --host FILE [--backend nft] eth0=outside.pcap docker0=inside.pcap
 *   npx tsx test/kernel/replay-vs-kernel.ts --scenario docker --seed 7 --packets 500
 *
 * Captures are merged by time. A scenario (scenarios.ts) brings its own host, rules and random traffic. `--hex` adds
 * the bytes; counters and connections come last.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openCapture, Slab } from '../../src/capture/index.js';
import type { HostFile } from '../../src/host/hostschema.js';
import { ipPacket } from '../../src/verify/compare.js';
import { type Backend, Gateway, type KernelPacket } from '../../src/verify/gateway.js';
import { neededMtu } from '../../src/verify/run-kernel.js';
import { say } from './packets.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { runTraffic, type TrafficRun } from './traffic.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rules: { type: 'string' },
    host: { type: 'string' },
    backend: { type: 'string', default: 'legacy' },
    scenario: { type: 'string' },
    seed: { type: 'string', default: '1' },
    packets: { type: 'string', default: '200' },
    hex: { type: 'boolean', default: false },
  },
});
const backend: Backend = values.backend === 'nft' ? 'nft' : 'legacy';

if (values.scenario !== undefined) {
  const scenario = SCENARIOS.find((s) => s.name === values.scenario);
  if (scenario === undefined) throw new Error(`scenarios: ${SCENARIOS.map((s) => s.name).join(', ')}`);
  await fromScenario(scenario, Number(values.seed), Number(values.packets));
} else {
  const { rules, host } = values;
  if (rules === undefined || host === undefined || positionals.length === 0) {
    throw new Error('give --scenario NAME, or --rules FILE --host FILE IFACE=CAPTURE...');
  }
  await fromCaptures(JSON.parse(readFileSync(host, 'utf8')) as HostFile, readFileSync(rules, 'utf8'), positionals);
}

async function fromScenario(scenario: Scenario, seed: number, count: number): Promise<void> {
  const gateway = await Gateway.open({ host: scenario.host, rules: scenario.rules, backend });
  try {
    await print(gateway, await runTraffic(gateway, scenario.traffic, seed, count));
  } finally {
    await gateway.close();
  }
}

async function fromCaptures(host: HostFile, rules: string, captures: readonly string[]): Promise<void> {
  const packets = (await Promise.all(captures.map(readPackets))).flat().sort((a, b) => a.time - b.time);
  const mtu = neededMtu(host, packets);
  const gateway = await Gateway.open({ host, rules, backend, mtu });
  try {
    await print(gateway, { packets, ...(await gateway.send(packets)) });
  } finally {
    await gateway.close();
  }
}

/** Frames of an Ethernet capture named `IFACE=FILE`, with their times in milliseconds. */
async function readPackets(argument: string): Promise<(KernelPacket & { time: number })[]> {
  const equals = argument.indexOf('=');
  const iface = argument.slice(0, equals);
  const reader = await openCapture(argument.slice(equals + 1));
  const packets: (KernelPacket & { time: number })[] = [];
  const slab = new Slab(1 << 20);
  while (await reader.next(slab)) {
    const { records } = slab;
    for (let i = 0; i < records.count; i++) {
      const at = records.frame[i] as number;
      if (reader.interfaces[records.source[i] as number]?.linkType !== 1) continue;
      const frame = Uint8Array.from(slab.bytes.subarray(at, at + (records.capturedLength[i] as number)));
      packets.push({
        iface,
        frame,
        time: (records.seconds[i] as number) * 1e3 + (records.nanoseconds[i] as number) / 1e6,
      });
    }
  }
  await reader.close();
  return packets;
}

async function print(gateway: Gateway, run: TrafficRun): Promise<void> {
  const show = (iface: string, packet: Uint8Array): object => ({
    iface,
    packet: say(packet),
    ...(values.hex ? { hex: Buffer.from(packet).toString('hex') } : {}),
  });
  let next = 0;
  let delivery = 0;
  run.packets.forEach((packet, i) => {
    const out: object[] = [];
    for (let o = run.outputs[next]; o?.input === i; o = run.outputs[++next]) out.push(show(o.iface, ipPacket(o.frame)));
    const local: object[] = [];
    for (let d = run.delivered[delivery]; d?.input === i; d = run.delivered[++delivery])
      local.push(show(d.iface, d.packet));
    const line = { i, time: packet.time, in: show(packet.iface, packet.frame.subarray(14)), out };
    process.stdout.write(`${JSON.stringify(local.length === 0 ? line : { ...line, local })}\n`);
  });
  process.stdout.write(
    `${JSON.stringify({ counters: await gateway.counters(), conntrack: await gateway.conntrack(), unset: gateway.unset })}\n`,
  );
}
