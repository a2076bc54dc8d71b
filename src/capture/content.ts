/** What a file that is no capture looks like, said in a way that helps. */

export interface ContentDescription {
  readonly code: string;
  readonly what: string;
  readonly advice: string | undefined;
}

interface Signature {
  readonly bytes: readonly number[];
  readonly name: string;
  readonly advice?: string;
}

const CONVERT = 'convert it with editcap -F pcapng';
const ONCE = 'decompress it once before';

const SIGNATURES: readonly Signature[] = [
  { bytes: [0x1f, 0x8b], name: 'gzip data inside compressed data', advice: ONCE },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd data inside compressed data', advice: ONCE },
  { bytes: [...text('snoop'), 0, 0, 0], name: 'a snoop capture', advice: CONVERT },
  { bytes: [...text('BZh')], name: 'bzip2 data', advice: 'decompress it first: bunzip2' },
  { bytes: [0xfd, ...text('7zXZ')], name: 'xz data', advice: 'decompress it first: unxz' },
  { bytes: [0x04, 0x22, 0x4d, 0x18], name: 'lz4 data', advice: 'decompress it first: unlz4' },
  { bytes: [...text('PK'), 3, 4], name: 'a zip archive', advice: 'unpack it first' },
  { bytes: [...text('7z'), 0xbc, 0xaf], name: 'a 7z archive', advice: 'unpack it first' },
  { bytes: [...text('RTSS')], name: 'a Microsoft Network Monitor 1 capture', advice: CONVERT },
  { bytes: [...text('GMBU')], name: 'a Microsoft Network Monitor 2 capture', advice: CONVERT },
  { bytes: [...text('btsnoop'), 0], name: 'a btsnoop capture (Bluetooth)', advice: CONVERT },
  { bytes: [...text('TRSNIFF data')], name: 'a Sniffer capture', advice: CONVERT },
  { bytes: [...text('XCP'), 0], name: 'a Sniffer capture', advice: CONVERT },
  { bytes: [0x7f, ...text('ver')], name: 'a capture of an EtherPeek program', advice: CONVERT },
  { bytes: [0x7f, ...text('ELF')], name: 'a program' },
  { bytes: [...text('%PDF')], name: 'a PDF document' },
  { bytes: [...text('<?xml')], name: 'XML', advice: 'if it is PDML, the original capture is needed' },
];

function text(value: string): number[] {
  return [...value].map((c) => c.charCodeAt(0));
}

const WANTED = 'pcap or pcapng is needed';

/** Describes the first bytes (up to 24) of a file that is neither pcap nor pcapng. */
export function describeContent(head: Uint8Array): ContentDescription {
  const code = 'CAPTURE_UNKNOWN_FORMAT';
  const signature = SIGNATURES.find(({ bytes }) => bytes.every((byte, i) => head[i] === byte));
  if (signature !== undefined) {
    return { code, what: `this is ${signature.name}, not a capture`, advice: signature.advice ?? WANTED };
  }
  if (startsLikeCapture(head)) {
    const what = `the file is only ${head.length} bytes long, its header is cut off`;
    return { code: 'CAPTURE_TOO_SHORT', what, advice: 'capture it again' };
  }
  if (looksLikeText(head)) {
    const shown = [...head].map((c) => String.fromCharCode(c)).join('');
    const line = shown.split(/[\r\n]/, 1)[0] ?? '';
    return { code, what: `this is text, not a capture (it begins with "${line.trimEnd()}")`, advice: WANTED };
  }
  if (looksLikeErf(head)) return { code, what: 'this looks like an ERF capture', advice: CONVERT };
  const hex = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return { code, what: `this is not a capture of a known format (it begins with ${hex})`, advice: WANTED };
}

const CAPTURE_MAGICS: readonly (readonly number[])[] = [
  [0xa1, 0xb2, 0xc3, 0xd4],
  [0xa1, 0xb2, 0x3c, 0x4d],
  [0xa1, 0xb2, 0xcd, 0x34],
  [0x0a, 0x0d, 0x0d, 0x0a],
];

/** Whether all there is of a short file fits the beginning of a capture. */
function startsLikeCapture(head: Uint8Array): boolean {
  const known = Math.min(4, head.length);
  const fits = (magic: readonly number[]): boolean => magic.slice(0, known).every((byte, i) => head[i] === byte);
  return CAPTURE_MAGICS.some((magic) => fits(magic) || fits([...magic].reverse()));
}

function looksLikeText(head: Uint8Array): boolean {
  return head.every((c) => c === 0x09 || c === 0x0a || c === 0x0d || (c >= 0x20 && c < 0x7f));
}

/** ERF has no magic: a record of a known type (low 7 bits) whose length holds its own header of 16 bytes. */
function looksLikeErf(head: Uint8Array): boolean {
  if (head.length < 16) return false;
  const type = (head[8] as number) & 0x7f;
  const recordLength = ((head[10] as number) << 8) | (head[11] as number);
  const wireLength = ((head[14] as number) << 8) | (head[15] as number);
  return type >= 1 && type <= 48 && recordLength >= 16 && recordLength <= wireLength + 64 && wireLength > 0;
}
