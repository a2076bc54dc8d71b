/** Packet sizes of generated captures: bytes of a frame as captured, without the frame check sequence. */

export interface FrameSize {
  readonly bytes: number;
  /** Its share of all packets; the shares of a profile are relative to each other. */
  readonly weight: number;
}

/** Smallest first: packets without data (SYN, FIN, last ACK) are padded to the first size. */
export type FrameSizes = readonly [FrameSize, ...FrameSize[]];

/** 64, 594 and 1518 bytes on the wire; captures lack the four bytes of the frame check sequence. */
export const IMIX: FrameSizes = [
  { bytes: 60, weight: 7 },
  { bytes: 590, weight: 4 },
  { bytes: 1514, weight: 1 },
];

/** As captured: 68 on the wire. */
export const BYTES_64: FrameSizes = [{ bytes: 64, weight: 1 }];

/** The shortest frame of Ethernet, 64 bytes on the wire. */
export const SHORTEST: FrameSizes = [{ bytes: 60, weight: 1 }];
