/** Records handed over when they are due, by a clock that the test owns. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openCapture } from '../../src/capture/reader.js';
import { Slab } from '../../src/capture/slab.js';
import type { Pace } from '../../src/pipeline/pace.js';
import { LoopReader, type PaceClock, PacedReader } from '../../src/pipeline/paced.js';
import { replay } from '../../src/pipeline/replay.js';
import { ROOT, scratch } from '../support/cli.js';

const DOCKER = join(ROOT, 'captures/docker-bridge');
const ETH0 = join(DOCKER, 'eth0.pcap');
const folder = scratch();
afterAll(() => folder.remove());

/** Waiting takes exactly as long as it should and `late` seconds more. */
function fakeClock(late = 0): PaceClock & { time: number } {
  const clock = {
    time: 100,
    now: () => clock.time,
    sleep: async (seconds: number) => {
      clock.time += seconds + late;
    },
  };
  return clock;
}

/** The records' capture times and when they were handed over, in seconds since the first. */
async function handedOver(
  pace: Pace,
  clock = fakeClock(),
): Promise<{ captured: number; handed: number; bytes: number }[]> {
  const reader = new PacedReader(await openCapture(ETH0), pace, undefined, clock);
  const slab = new Slab(1 << 16);
  const all: { captured: number; handed: number; bytes: number }[] = [];
  while (await reader.next(slab)) {
    const { records } = slab;
    for (let i = 0; i < records.count; i++) {
      const captured = (records.seconds[i] as number) + (records.nanoseconds[i] as number) / 1e9;
      all.push({ captured, handed: clock.time - 100, bytes: records.wireLength[i] as number });
    }
  }
  await reader.close();
  return all;
}

describe('pacing', () => {
  it('at a rate: record i at i / rate', async () => {
    const records = await handedOver({ kind: 'rate', packetsPerSecond: 100 });
    expect(records).toHaveLength(268);
    for (const [i, { handed }] of records.entries()) expect(handed).toBeCloseTo(i / 100, 6);
  });

  it('is anchored to the start: being late each time does not add up', async () => {
    const records = await handedOver({ kind: 'rate', packetsPerSecond: 100 }, fakeClock(0.004));
    for (const [i, { handed }] of records.entries()) expect(handed - i / 100).toBeLessThan(0.0041);
  });

  it("by the capture's own timing, four times as fast", async () => {
    const records = await handedOver({ kind: 'speed', factor: 4 });
    let latest = 0;
    for (const { captured, handed } of records) {
      latest = Math.max(latest, captured - (records[0]?.captured ?? 0));
      expect(handed).toBeCloseTo(latest / 4, 5);
    }
  });

  it('by bits: each when those before it have passed', async () => {
    let bits = 0;
    for (const { bytes, handed } of await handedOver({ kind: 'bits', bitsPerSecond: 1e6 })) {
      expect(handed).toBeCloseTo(bits / 1e6, 6);
      bits += bytes * 8;
    }
  });
});

describe('a paced replay', () => {
  const options = {
    captures: [{ path: ETH0, iface: 'eth0' }],
    packetLog: undefined,
  };

  it('writes what one at full speed writes', async () => {
    await replay({ ...options, output: folder.at('plain.pcap') });
    await replay({ ...options, output: folder.at('paced.pcap'), pace: { kind: 'rate', packetsPerSecond: 1e6 } });
    expect(readFileSync(folder.at('paced.pcap')).equals(readFileSync(folder.at('plain.pcap')))).toBe(true);
  });

  it('goes through the captures again', async () => {
    const { result } = await replay({ ...options, loop: 3 });
    expect(result.records).toBe(3 * 268);
  });

  it('a loop of a pcapng file keeps its interfaces', async () => {
    const merged = [
      { path: ETH0, iface: 'eth0' },
      { path: join(DOCKER, 'docker0.pcap'), iface: 'docker0' },
    ];
    await replay({ captures: merged, output: folder.at('both.pcapng') });
    const open = () => openCapture(folder.at('both.pcapng'));
    const reader = new LoopReader(await open(), 2, open);
    const slab = new Slab(1 << 16);
    let records = 0;
    while (await reader.next(slab)) records += slab.records.count;
    const once = await open();
    let wanted = 0;
    while (await once.next(slab)) wanted += slab.records.count;
    expect(records).toBe(2 * wanted);
    expect(reader.interfaces).toEqual(once.interfaces);
  });
});
