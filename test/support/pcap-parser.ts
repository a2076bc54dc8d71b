/**
 * `pcap-parser` with types: an independent reader of microsecond pcap files, which tests hold ours against. It is
 * from 2012, calls the deprecated `new Buffer` and wants its input as a stream.
 */
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

export interface ParsedPacket {
  readonly header: {
    readonly timestampSeconds: number;
    readonly timestampMicroseconds: number;
    readonly capturedLength: number;
    readonly originalLength: number;
  };
  readonly data: Buffer;
}

interface Parser {
  on(event: 'packet', listener: (packet: ParsedPacket) => void): void;
  on(event: 'end', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
}

const { parse } = createRequire(import.meta.url)('pcap-parser') as { parse(input: Readable): Parser };

/** The packets of a whole file. */
export function parsePackets(file: Buffer): Promise<ParsedPacket[]> {
  return new Promise((resolve, reject) => {
    const packets: ParsedPacket[] = [];
    const parser = parse(Readable.from([file], { objectMode: false }));
    parser.on('packet', (packet) => packets.push({ header: packet.header, data: Buffer.from(packet.data) }));
    parser.on('end', () => resolve(packets));
    parser.on('error', reject);
  });
}
