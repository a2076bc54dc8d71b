/** The programs that are timed beside each other, and how each is called. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findProgram } from './child.js';

export interface Files {
  readonly capture: string;
  readonly rules: string;
  readonly host: string;
  /** A file that does not exist yet. */
  readonly output: string;
}

export interface Peer {
  readonly name: string;
  /** What its time stands for. */
  readonly does: string;
  readonly program: string;
  args(files: Files): string[];
  /** It writes every packet to `files.output`; else it prints how many it counted. */
  readonly writes: boolean;
  /** Its output is held to be translated. */
  readonly translates: boolean;
  /** Why it cannot be run here, with what to do; undefined when it can. */
  readonly missing: string | undefined;
}

/** Ratios are to this one. */
export const TCPREWRITE = 'tcprewrite --pnat';

const NATREPLAY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const COUNTER = fileURLToPath(new URL('../count-with-pcap-parser.cjs', import.meta.url));

export function peers(): Peer[] {
  return [
    {
      name: 'natreplay',
      does: 'NAT by the rules, one thread, file to file',
      program: process.execPath,
      args: (f) => [NATREPLAY, ...replayArguments(f.capture, f.rules, f.host, f.output)],
      writes: true,
      translates: true,
      missing: existsSync(NATREPLAY) ? undefined : 'not built: npm run build',
    },
    {
      // The reference for ratios: the least work it can be given, a map that fits the packets with an inside address.
      ...tool('tcprewrite', 'tcpreplay', TCPREWRITE, 'replaces addresses by one fixed map: half of the packets'),
      args: (f) => ['--pnat=10.0.0.0/16:172.16.0.0/16', `--infile=${f.capture}`, `--outfile=${f.output}`],
    },
    {
      ...tool('tcprewrite', 'tcpreplay', `${TCPREWRITE} x2`, 'by two maps: an address of every packet, as NAT does'),
      args: (f) => [
        '--pnat=10.0.0.0/16:172.16.0.0/16,203.0.113.1/32:192.0.2.1/32',
        `--infile=${f.capture}`,
        `--outfile=${f.output}`,
      ],
    },
    {
      // -Z root keeps it from changing to an account that may not write here; only root may say so.
      ...tool('tcpdump', 'tcpdump', 'tcpdump -r -w', 'copies packet by packet'),
      args: (f) => [...(process.getuid?.() === 0 ? ['-Z', 'root'] : []), '-r', f.capture, '-w', f.output],
    },
    {
      ...tool('editcap', 'wireshark-common', 'editcap', 'copies packet by packet'),
      args: (f) => ['-F', 'pcap', f.capture, f.output],
    },
    {
      ...tool('cp', 'coreutils', 'cp', 'copies bytes'),
      args: (f) => ['--reflink=never', f.capture, f.output],
    },
    {
      name: 'pcap-parser',
      does: 'counts packets, writes nothing',
      program: process.execPath,
      args: (f) => ['--no-deprecation', COUNTER, f.capture],
      writes: false,
      translates: false,
      missing: undefined,
    },
  ];
}

/** How the benchmarks call `natreplay`. */
export function replayArguments(capture: string, rules: string, host: string, output: string): string[] {
  return ['replay', capture, '--rules', rules, '--host', host, '-w', output];
}

export function natreplayMain(): string {
  return NATREPLAY;
}

function tool(program: string, debianPackage: string, name: string, does: string): Omit<Peer, 'args'> {
  const path = findProgram(program);
  return {
    name,
    does,
    program: path ?? program,
    writes: true,
    translates: false,
    missing: path === undefined ? `not installed: Debian package ${debianPackage}` : undefined,
  };
}
