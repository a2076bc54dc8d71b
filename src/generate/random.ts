/** Chance that is the same every time: everything generated is a function of the seed. */

/** 32 well-spread bits of a number and a seed (the finalizer of MurmurHash3). */
export function mix(value: number, seed: number): number {
  let h = (value ^ Math.imul(seed, 0x9e3779b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Source ports are Linux's default ephemeral range, net.ipv4.ip_local_port_range. */
const FIRST_EPHEMERAL = 32768;
export const EPHEMERALS = 28232;
/** Steps through all of the ephemeral ports before it repeats one: 5^6 has no factor in common with 28232. */
const PORT_STEP = 15625;

/** The source port of somebody's connection number `turn`: no two below EPHEMERALS have the same. */
export function ephemeral(turn: number, start: number): number {
  return FIRST_EPHEMERAL + ((start + turn * PORT_STEP) % EPHEMERALS);
}
