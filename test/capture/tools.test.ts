/** Wireshark's own tools as judges of what is written and read. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { mergeCaptures, openCapture } from '../../src/capture/index.js';
import { needs } from '../support/requirements.js';
import { pcap, temporaryFolder } from './build.js';
import { copy, readAll } from './read.js';

const file = temporaryFolder();
const { skip, reason } = needs({ commands: ['tshark', 'editcap', 'mergecap'] });
const LIST = Array.from({ length: 40 }, (_, i) => ({
  seconds: 1_700_000_000 + ((i * 7) % 40),
  fraction: i * 1001,
  frame: Uint8Array.from({ length: 60 + i }, (_, k) => (k * i) & 0xff),
}));

/** Time, lengths and interface of every packet, as tshark reads them. */
function tshark(path: string, ...more: readonly string[]): string {
  const fields = ['frame.time_epoch', 'frame.cap_len', 'frame.len', ...more].flatMap((field) => ['-e', field]);
  return execFileSync('tshark', ['-r', path, '-n', '-T', 'fields', ...fields], { stdio: 'pipe' }).toString();
}

describe.skipIf(skip)(`Wireshark's tools ${reason}`, () => {
  it.each(['pcap', 'nsecpcap', 'modpcap', 'pcapng'])(
    'editcap -F %s is read and written back unchanged',
    async (format) => {
      execFileSync('editcap', ['-F', format, file('plain.pcap', pcap(LIST)), file('theirs')]);
      await copy(file('theirs'), file('ours'));
      expect(file.read(file('ours')).equals(file.read(file('theirs')))).toBe(true);
      const { records } = await readAll(file('theirs'));
      expect(records.map(({ seconds, nanoseconds }) => [seconds, nanoseconds])).toEqual(
        LIST.map(({ seconds, fraction }) => [seconds, fraction * 1000]),
      );
    },
  );

  it('tshark reads what was converted, with the interfaces that packets left by', async () => {
    await copy(file('plain.pcap', pcap(LIST)), file('ours.pcapng'), {
      outputs: [{ name: 'eth0' }, { name: 'docker0' }],
      output: (i) => i % 2,
    });
    const names = tshark(file('ours.pcapng'), 'frame.interface_name').trim().split('\n');
    expect(names.map((line) => line.split('\t').at(-1))).toEqual(
      LIST.map((_, i) => (i % 2 === 0 ? 'eth0' : 'docker0')),
    );
    expect(tshark(file('ours.pcapng'))).toBe(tshark(file('plain.pcap')));
  });

  it('mergecap puts the records of sorted captures in the same order', async () => {
    const sorted = LIST.toSorted((a, b) => a.seconds - b.seconds || a.fraction - b.fraction);
    const paths = [0, 1, 2].map((k) => file(`in${k}.pcap`, pcap(sorted.filter((_, i) => i % 3 === k))));
    execFileSync('editcap', ['-F', 'pcapng', paths[1] ?? '', file('in1.pcapng')]);
    const inputs = [paths[0] ?? '', file('in1.pcapng'), paths[2] ?? ''];
    execFileSync('mergecap', ['-F', 'pcapng', '-w', file('theirs.pcapng'), ...inputs]);
    await copy(mergeCaptures(await Promise.all(inputs.map((path) => openCapture(path)))), file('ours.pcapng'));
    expect(tshark(file('ours.pcapng'))).toBe(tshark(file('theirs.pcapng')));
  });
});
