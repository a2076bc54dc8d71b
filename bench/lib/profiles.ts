/** Packet sizes of the generated captures: bytes of a frame as captured, without the frame check sequence. */

export interface FrameSize {
  readonly bytes: number;
  /** Its share of all packets; the shares of a profile are relative to each other. */
  readonly weight: number;
}

export interface Profile {
  readonly name: string;
  /** Smallest first: packets without data (SYN, FIN, last ACK) are padded to the first size. */
  readonly sizes: readonly [FrameSize, ...FrameSize[]];
  readonly packets: number;
  readonly connections: number;
}

export const PROFILES: readonly Profile[] = [
  { name: '64byte', sizes: [{ bytes: 64, weight: 1 }], packets: 5_000_000, connections: 100_000 },
  {
    // 64, 594 and 1518 bytes on the wire; captures lack the four bytes of the frame check sequence.
    name: 'imix',
    sizes: [
      { bytes: 60, weight: 7 },
      { bytes: 590, weight: 4 },
      { bytes: 1514, weight: 1 },
    ],
    packets: 2_000_000,
    connections: 100_000,
  },
];

export function profileNamed(name: string): Profile {
  const profile = PROFILES.find((p) => p.name === name);
  if (profile === undefined) {
    throw new RangeError(`no profile '${name}'; there are ${PROFILES.map((p) => p.name).join(', ')}`);
  }
  return profile;
}
