/** Looks through a classic pcap that a program wrote: is it whole, and is everything in it translated? */
import { closeSync, openSync, readSync } from 'node:fs';
import { OUTSIDE } from '../../src/generate/profiles/gateway.js';

export interface Checked {
  readonly packets: number;
  /** Packets that still have an address which the gateway's NAT must have replaced. */
  readonly untranslated: number;
  /** IPv4, TCP or UDP checksum wrong, among every `CHECKSUM_EVERY`th packet. */
  readonly wrongChecksums: number;
}

const CHECKSUM_EVERY = 101;
const BLOCK = 4 << 20;

/** Walks a whole capture of Ethernet and IPv4 frames in the byte order of the generator. */
export function checkCapture(path: string): Checked {
  const bytes = new Uint8Array(BLOCK);
  const view = new DataView(bytes.buffer);
  const file = openSync(path, 'r');
  let packets = 0;
  let untranslated = 0;
  let wrongChecksums = 0;
  let kept = 0;
  let at = 24;
  try {
    for (;;) {
      const end = kept + readSync(file, bytes, kept, BLOCK - kept, null);
      if (end === kept) break;
      for (;;) {
        if (at + 16 > end) break;
        const next = at + 16 + view.getUint32(at + 8, true);
        if (next > end) break;
        if (needsTranslation(view, at + 16)) untranslated++;
        if (packets % CHECKSUM_EVERY === 0 && !checksumsRight(view, at + 16)) wrongChecksums++;
        packets++;
        at = next;
      }
      bytes.copyWithin(0, at, end);
      kept = end - at;
      at = 0;
    }
  } finally {
    closeSync(file);
  }
  if (kept !== 0) throw new Error(`${path}: ${kept} bytes after the last whole record`);
  return { packets, untranslated, wrongChecksums };
}

function needsTranslation(view: DataView, frame: number): boolean {
  const source = view.getUint32(frame + 26);
  const destination = view.getUint32(frame + 30);
  return destination === OUTSIDE.address || (inside(source) && !inside(destination));
}

function inside(address: number): boolean {
  return address >>> 16 === 0x0a00;
}

function checksumsRight(view: DataView, frame: number): boolean {
  const ip = frame + 14;
  const header = (view.getUint8(ip) & 15) * 4;
  const length = view.getUint16(ip + 2) - header;
  const protocol = view.getUint8(ip + 9);
  if (fold(sumWords(view, ip, header)) !== 0xffff) return false;
  const pseudoHeader = sumWords(view, ip + 12, 8) + protocol + length;
  return fold(pseudoHeader + sumWords(view, ip + header, length)) === 0xffff;
}

function sumWords(view: DataView, at: number, length: number): number {
  let sum = length % 2 === 1 ? view.getUint8(at + length - 1) << 8 : 0;
  for (let i = 0; i + 1 < length; i += 2) sum += view.getUint16(at + i);
  return sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded >>> 16) + (folded & 0xffff);
  return folded;
}
