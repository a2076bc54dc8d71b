/** Pipes, compression, signals, full disks: the command line among other programs. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { bash, inProcess, natreplay, ROOT, scratch, start } from '../support/cli.js';
import { needs } from '../support/requirements.js';

const DOCKER = join(ROOT, 'captures/docker-bridge');
const ETH0 = join(DOCKER, 'eth0.pcap');
const HOST = ['--host', join(DOCKER, 'host.json'), '--rules', join(DOCKER, 'rules.v4')];

const folder = scratch();
const at = folder.at;
afterAll(() => folder.remove());

/**
 * eth0.pcap's records many times over: `mebibytes` of capture, for runs that must not be over at once. Segments that come
 * again are invalid, so most packets end at the host: `--write-local` makes as large an output of it.
 */
function longCapture(mebibytes: number): Buffer {
  const capture = readFileSync(ETH0);
  const copies = Math.ceil((mebibytes * 1024 * 1024) / capture.length);
  return Buffer.concat([capture.subarray(0, 24), ...Array<Buffer>(copies).fill(capture.subarray(24))]);
}

const plain = (): Buffer => {
  const path = at('plain.pcap');
  if (!existsSync(path)) natreplay(['replay', `eth0=${ETH0}`, ...HOST, '-w', path, '-q']);
  return readFileSync(path);
};

/** The exit code as a shell tells it: 128 and the number for a program that died by a signal. */
const shellCode = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + constants.signals[signal ?? 'SIGKILL'];

describe('standard streams', () => {
  it('a capture from a pipe to a pipe, the report on stderr', () => {
    const args = ['replay', 'eth0=-', ...HOST, '-w', '-'];
    const { code, output, stderr } = natreplay(args, { input: readFileSync(ETH0) });
    expect(code).toBe(0);
    expect(output.equals(plain())).toBe(true);
    expect(stderr).toMatch(/^268 packets replayed in /);
  });

  it('rules from a pipe, the packet log to one', () => {
    const line = `natreplay replay 'eth0=${ETH0}' ${HOST.slice(0, 2).join(' ')} --rules - --packet-log - < '${DOCKER}/rules.v4' 2>/dev/null | wc -l`;
    expect(bash(line).stdout.trim()).toBe('268');
  });

  it('-q: nothing is said', () => {
    const { code, stdout, stderr } = natreplay(['replay', `eth0=${ETH0}`, ...HOST, '-w', at('quiet.pcap'), '-q']);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('a capture on standard output whose reader goes away: one line, exit code 3', () => {
    writeFileSync(at('long.pcap'), longCapture(8));
    const line = `natreplay replay 'eth0=${at('long.pcap')}' ${HOST.join(' ')} --write-local -w - -q | head -c 100 > /dev/null; exit \${PIPESTATUS[0]}`;
    const { code, stderr } = bash(line);
    expect(stderr).toMatch(/^natreplay: -: [^\n]*closed it; let it read to the end\n$/);
    expect(code).toBe(3);
  });

  it('a report whose reader goes away: at most one line, the results are whole', () => {
    const line = `natreplay replay 'eth0=${ETH0}' ${HOST.join(' ')} -w '${at('head.pcap')}' | true`;
    const { stderr } = bash(line);
    expect(stderr).toMatch(/^(natreplay: standard output: the reader went away[^\n]*\n)?$/);
    expect(readFileSync(at('head.pcap')).equals(plain())).toBe(true);
  });
});

describe('compression', () => {
  it('gzip, in and out', async () => {
    writeFileSync(at('in.pcap.gz'), gzipSync(readFileSync(ETH0)));
    const ran = await inProcess(['replay', `eth0=${at('in.pcap.gz')}`, ...HOST, '-w', at('out.pcap.gz'), '-q']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(gunzipSync(readFileSync(at('out.pcap.gz'))).equals(plain())).toBe(true);
  });

  const zstd = needs({ commands: ['zstd'] });
  it.skipIf(zstd.skip)(`zstd, in and out ${zstd.reason}`.trim(), () => {
    expect(bash(`zstd -q '${ETH0}' -o '${at('in.pcap.zst')}'`).code).toBe(0);
    const ran = natreplay(['replay', `eth0=${at('in.pcap.zst')}`, ...HOST, '-w', at('out.pcap.zst'), '-q']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(bash(`zstd -qdc '${at('out.pcap.zst')}'`).output.equals(plain())).toBe(true);
  });
});

describe('warnings, with exit code 0', () => {
  it('rules that name an interface which the host lacks', async () => {
    writeFileSync(at('ppp.v4'), '*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o ppp0 -j MASQUERADE\nCOMMIT\n');
    const ran = await inProcess(['replay', `eth0=${ETH0}`, ...HOST.slice(0, 2), '--rules', at('ppp.v4'), '-q']);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(/^natreplay: warning: Rules name interface ppp0, [^\n]*ppp\.v4:3[^\n]*\n$/);
  });

  it('a capture cut in the middle of a record, with the place', async () => {
    writeFileSync(at('cut.pcap'), readFileSync(ETH0).subarray(0, 5000));
    const ran = await inProcess(['replay', `eth0=${at('cut.pcap')}`, ...HOST, '-w', at('cut-out.pcap'), '-q']);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(
      /^natreplay: warning: [^\n]*cut\.pcap: the capture is cut short: [^\n]*at byte \d+[^\n]*\n$/,
    );
    expect(existsSync(at('cut-out.pcap'))).toBe(true);
  });

  it('a rule with an unknown match is skipped when asked to, and the report says so', async () => {
    writeFileSync(
      at('geoip.v4'),
      '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m geoip --src-cc DE -j ACCEPT\nCOMMIT\n',
    );
    const args = ['replay', `eth0=${ETH0}`, ...HOST.slice(0, 2), '--rules', at('geoip.v4'), '--unsupported', 'skip'];
    const ran = await inProcess(args);
    expect(ran.code).toBe(0);
    expect(`${ran.stdout}${ran.stderr}`).toMatch(/geoip/);
  });
});

describe('being told to stop', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s: exit code %i, what was written stays as .partial', async (signal, exit) => {
    const out = at(`${signal}.pcap`);
    const log = at(`${signal}.ndjson`);
    // Standard input is left open: the run waits for more when the signal comes.
    const child = start(['replay', 'eth0=-', ...HOST, '--write-local', '-w', out, '--packet-log', log]);
    const said: Buffer[] = [];
    child.stderr?.on('data', (piece: Buffer) => said.push(piece));
    const closed = once(child, 'close');
    child.stdin?.on('error', () => {});
    child.stdin?.write(longCapture(4));
    while (!existsSync(`${out}.partial`) || statSync(`${out}.partial`).size === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill(signal);
    const [code, name] = await closed;
    expect(Buffer.concat(said).toString()).toBe(
      `natreplay: stopped by ${signal}; unfinished outputs are left beside as .partial\n`,
    );
    expect(shellCode(code, name)).toBe(exit);
    expect([existsSync(out), existsSync(log)]).toEqual([false, false]);
    expect(existsSync(`${out}.partial`)).toBe(true);
  });
});

describe('being told to stop while waiting for input', () => {
  it('ends all the same', async () => {
    const out = at('idle.pcap');
    const log = at('idle.ndjson');
    const child = start(['replay', 'eth0=-', ...HOST, '-w', out, '--packet-log', log]);
    const said: Buffer[] = [];
    child.stderr?.on('data', (piece: Buffer) => said.push(piece));
    const closed = once(child, 'close');
    child.stdin?.write(readFileSync(ETH0).subarray(0, 24));
    // The packet log is there from the start, and after it nothing happens until more is read.
    while (!existsSync(`${log}.partial`)) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    const [code, signal] = await closed;
    expect(Buffer.concat(said).toString()).toMatch(/^natreplay: stopped by SIGINT; [^\n]*\n$/);
    expect(shellCode(code, signal)).toBe(130);
    expect(existsSync(out)).toBe(false);
  });
});

describe('being told to stop while standard input says nothing', () => {
  it.each([
    ['a capture', ['replay', 'eth0=-', ...HOST]],
    ['rules', ['replay', `eth0=${ETH0}`, '--rules', '-']],
  ])('%s', async (_, args) => {
    const child = start(args);
    const closed = once(child, 'close');
    // It reads its standard input by now, and would for ever.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill('SIGTERM');
    const [code, signal] = await closed;
    expect(shellCode(code, signal)).toBe(143);
  });
});

describe('a disk that fills up', () => {
  const root = needs({ root: true, commands: ['unshare', 'mount'] });
  it.skipIf(root.skip)(`is one line and exit code 3, and no capture looks whole ${root.reason}`.trim(), () => {
    mkdirSync(at('small'));
    writeFileSync(at('long.pcap'), longCapture(8));
    const disk = at('small');
    const replay = `'${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' replay 'eth0=${at('long.pcap')}' ${HOST.join(' ')} --write-local -q`;
    writeFileSync(
      at('fill.sh'),
      `mount -t tmpfs -o size=1m none '${disk}' && cd '${disk}' || exit 1\n${replay} -w out.pcap\necho "exit $?"; ls\n`,
    );
    // A private mount namespace: the file system is gone with the shell.
    const { stdout, stderr } = bash(`unshare -m bash '${at('fill.sh')}'`);
    expect(stderr).toBe(
      'natreplay: out.pcap: the disk is full; make room; what was written so far is beside it with the ending .partial\n',
    );
    expect(stdout).toBe('exit 3\nout.pcap.partial\n');
  });

  it.skipIf(!existsSync('/dev/full'))('is the same for the packet log (/dev/full)', async () => {
    const ran = await inProcess(['replay', `eth0=${ETH0}`, ...HOST, '--packet-log', '/dev/full', '-q']);
    expect(ran).toMatchObject({ code: 3, stderr: 'natreplay: /dev/full: the disk is full; make room and run again\n' });
  });
});
