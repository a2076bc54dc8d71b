import { describe, expect, it } from 'vitest';
import { NO_INTERFACE } from '../../src/host/types.js';
import { InterfaceCounterTable } from '../../src/measure/counters.js';

describe('interface counters', () => {
  it('count packets and bytes by interface and direction', () => {
    const counters = new InterfaceCounterTable(2);
    counters.received(0, 74);
    counters.received(0, 66);
    counters.sent(1, 74);
    expect(counters.row(0)).toEqual({ rxPackets: 2, rxBytes: 140, txPackets: 0, txBytes: 0 });
    expect(counters.row(1)).toEqual({ rxPackets: 0, rxBytes: 0, txPackets: 1, txBytes: 74 });
  });

  it('count nothing for no interface', () => {
    const counters = new InterfaceCounterTable(1);
    counters.received(NO_INTERFACE, 74);
    counters.sent(1, 74);
    expect(counters.row(0)).toEqual({ rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 });
    expect(counters.row(NO_INTERFACE)).toEqual({ rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 });
  });

  it('do not wrap at 4 GiB', () => {
    const counters = new InterfaceCounterTable(1);
    counters.sent(0, 2 ** 32 - 1);
    counters.sent(0, 2);
    expect(counters.row(0).txBytes).toBe(2 ** 32 + 1);
  });

  it('add up over workers', () => {
    const [a, b] = [new InterfaceCounterTable(1), new InterfaceCounterTable(1)];
    a.received(0, 100);
    b.received(0, 50);
    b.sent(0, 7);
    a.add(b);
    expect(a.row(0)).toEqual({ rxPackets: 2, rxBytes: 150, txPackets: 1, txBytes: 7 });
  });
});
