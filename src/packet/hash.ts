/**
 * Hash of an IPv4 tuple for the flow table: multiply-add over the words as they lie in the packet, then a finish that
 * lets the high bits depend on all of them (the table takes the index from there). It was chosen over murmur and
 * FNV for doing less work; nobody has compared them here.
 */
export function tupleHash(source: number, destination: number, ports: number, protocol: number): number {
  let h = Math.imul(source, 0x9e3779b1) + Math.imul(destination ^ protocol, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) + Math.imul(ports, 0xc2b2ae35);
  h ^= h >>> 13;
  return Math.imul(h, 0x27d4eb2f);
}
