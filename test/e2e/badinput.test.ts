/** Each kind of bad input gets one clear line and its exit code, and leaves no output that looks whole. */
import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bash, CLI, inProcess, natreplay, type Ran, ROOT, scratch } from '../support/cli.js';
import { needs } from '../support/requirements.js';

const DOCKER = join(ROOT, 'captures/docker-bridge');
const ETH0 = join(DOCKER, 'eth0.pcap');
const RULES = join(DOCKER, 'rules.v4');
const HOST = join(DOCKER, 'host.json');

const folder = scratch();
const at = folder.at;

/** Rules with one line that is not right, in the nat table. */
const nat = (line: string): string => `*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n${line}\nCOMMIT\n`;

const FILES: Readonly<Record<string, string | Buffer>> = {
  'empty.pcap': '',
  'readme.txt': 'Dear network engineer,\nplease find the capture attached.\n',
  'page.html': '<!doctype html><title>Sign in to download</title>',
  'archive.zip': Buffer.from('504b0304140000000800', 'hex'),
  'short.pcap': Buffer.from('d4c3b2a1020004', 'hex'),
  'huge-record.pcap': Buffer.from(
    `d4c3b2a1020004000000000000000000ffff000001000000${'00000000000000000000007f0000007f'}${'00'.repeat(32)}`,
    'hex',
  ),
  'zero-block.pcapng': Buffer.from(
    '0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000060000000000000000000000',
    'hex',
  ),
  'bad-magic.pcapng': Buffer.from('0a0d0d0a1c0000000102030401000000ffffffffffffffff1c000000', 'hex'),
  'no-commit.v4': '*nat\n:PREROUTING ACCEPT [0:0]\n',
  'missing-chain.v4': nat('-A PREROUTING -j DOKCER'),
  'loop.v4': nat(':A - [0:0]\n:B - [0:0]\n-A PREROUTING -j A\n-A A -j B\n-A B -j A'),
  'cidr.v4': nat('-A PREROUTING -s 10.0.0.0/33 -j ACCEPT'),
  'port.v4': nat('-A PREROUTING -p tcp --dport 70000 -j ACCEPT'),
  'table.v4': '*natt\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n',
  'match.v4': nat('-A PREROUTING -m geoip --src-cc DE -j ACCEPT'),
  'target.v4': nat('-A PREROUTING -j FULLCONENAT'),
  'drop-in-nat.v4': nat('-A PREROUTING -j DROP'),
  'option.v4': nat('-A PREROUTING -p tcp --dprot 80 -j ACCEPT'),
  'binary.v4': Buffer.from('7f454c46020101000000000000000000', 'hex'),
  'host.json': '{"addr": [{"ifname": "eth0", "addr_info": [{"local": "192.0.2.300", "prefixlen": 24}]}]}',
  'comma.json': '{"addr": [],}',
};

beforeAll(() => {
  for (const [name, content] of Object.entries(FILES)) writeFileSync(at(name), content);
  mkdirSync(at('folder'));
});
afterAll(() => folder.remove());

function expectOneLine({ code, stdout, stderr }: Ran, exit: number, line: RegExp): void {
  expect(stderr).toMatch(/^natreplay: [^\n]+\n$/);
  expect(stderr).toMatch(line);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr).not.toMatch(/internal error/);
  expect(stdout).toBe('');
  expect(code).toBe(exit);
}

/** A replay whose outputs must not be there afterwards, nor anything beside them that is not `.partial`. */
async function refuses(args: readonly string[], line: RegExp, exit = 2): Promise<void> {
  const out = scratch();
  try {
    const outputs = ['-w', out.at('out.pcapng'), '--packet-log', out.at('log.ndjson'), '--json', out.at('report.json')];
    expectOneLine(await inProcess(['replay', ...args, ...outputs]), exit, line);
    expect(readdirSync(out.path).filter((name) => !name.endsWith('.partial'))).toEqual([]);
  } finally {
    out.remove();
  }
}

describe('captures', () => {
  it.each([
    ['a missing file', 'nowhere.pcap', /nowhere\.pcap: there is no such file; check its name/],
    ['a directory', 'folder', /folder: this is a directory/],
    ['an empty file', 'empty.pcap', /empty\.pcap: the file is empty, .*; capture again/],
    ['a text file', 'readme.txt', /readme\.txt: /],
    ['a web page saved by mistake', 'page.html', /page\.html: /],
    ['a zip archive', 'archive.zip', /archive\.zip: /],
    ['a header cut short', 'short.pcap', /short\.pcap: /],
    ['a record of 2 GiB', 'huge-record.pcap', /huge-record\.pcap: .* at byte 24/],
    ['a block of no length', 'zero-block.pcapng', /zero-block\.pcapng: .* at byte 28/],
    ['a section in no byte order', 'bad-magic.pcapng', /bad-magic\.pcapng: .*byte/],
  ])('%s', (_, name, line) => refuses([at(name), '--rules', RULES, '--host', HOST], line));

  it('none at all', () => refuses(['--rules', RULES], /no capture is named; name a file, or - for standard input/));

  it('an interface that the host does not have', () =>
    refuses([`eth9=${ETH0}`, '--rules', RULES, '--host', HOST], /eth9=.* names an interface the host does not have; /));
});

describe('rules', () => {
  it.each([
    ['a missing file', 'nowhere.v4', /nowhere\.v4: there is no such file/],
    ['a directory', 'folder', /folder: it is a directory/],
    ['no COMMIT at the end', 'no-commit.v4', /no-commit\.v4.*COMMIT/],
    ['a jump to a chain that is not there', 'missing-chain.v4', /missing-chain\.v4:4:\d+: .*DOKCER/],
    ['chains that jump in a circle', 'loop.v4', /loop\.v4:\d+/],
    ['a prefix of 33 bits', 'cidr.v4', /cidr\.v4:4:18: .*10\.0\.0\.0\/33/],
    ['port 70000', 'port.v4', /port\.v4:4:\d+: port 70000 is not between 0 and 65535; correct the number/],
    ['an unknown table', 'table.v4', /table\.v4:1:\d+: .*natt/],
    ['an unknown match', 'match.v4', /match\.v4:4:\d+: .*geoip/],
    ['an unknown target', 'target.v4', /target\.v4:4:\d+: .*FULLCONENAT/],
    ['DROP in the nat table', 'drop-in-nat.v4', /drop-in-nat\.v4:4:\d+: .*DROP/],
    ['an option mistyped', 'option.v4', /option\.v4:4:\d+: .*--dprot/],
    ['a program instead', 'binary.v4', /binary\.v4/],
  ])('%s', (_, name, line) => refuses([`eth0=${ETH0}`, '--rules', at(name), '--host', HOST], line));
});

describe('hosts', () => {
  it.each([
    ['a missing file', ['--host', 'nowhere.json'], /nowhere\.json: there is no such host file/],
    ['an address that is none', ['--host', 'host.json'], /host\.json: .*192\.0\.2\.300/],
    ['JSON with a comma too many', ['--host', 'comma.json'], /comma\.json:1:13: not JSON/],
    ['--iface without an address', ['--iface', 'eth0'], /eth0/],
    ['--iface with a prefix of 40 bits', ['--iface', 'eth0=192.0.2.1/40'], /192\.0\.2\.1\/40/],
    ['--route over no interface', ['--iface', 'eth0=192.0.2.1/24', '--route', 'default=192.0.2.254@eth7'], /eth7/],
  ])('%s', (_, args, line) => {
    const located = args.map((word) => (word.endsWith('.json') ? at(word) : word));
    return refuses([ETH0, '--rules', RULES, ...located], line);
  });
});

describe('as a process of its own', () => {
  it.each([
    ['a capture that is not there', ['replay', 'nowhere.pcap'], /nowhere\.pcap: there is no such file/],
    ['rules with a mistake', ['replay', ETH0, '--rules', 'port.v4'], /port\.v4:4:\d+: .*70000/],
    ['a slip in an option', ['replay', ETH0, '--jason', 'x'], /unknown option '--jason'.*--json/],
    ['a record of 2 GiB', ['replay', 'huge-record.pcap', '-w', 'out.pcap'], /huge-record\.pcap: .* at byte 24/],
  ])('%s', (_, args, line) => {
    expectOneLine(natreplay(args, { cwd: folder.path }), 2, line);
  });

  const powerless = process.getuid?.() === 0 ? needs({ commands: ['setpriv'] }) : { skip: false, reason: '' };
  it.skipIf(powerless.skip)(`files that may not be read or written ${powerless.reason}`.trim(), () => {
    // Root may read everything, unless this capability is taken from it.
    const as = process.getuid?.() === 0 ? 'setpriv --bounding-set=-dac_override,-dac_read_search ' : '';
    writeFileSync(at('secret.pcap'), FILES['empty.pcap'] ?? '', { mode: 0o000 });
    mkdirSync(at('closed'), { mode: 0o555 });
    const replay = `${as}'${process.execPath}' '${CLI}' replay`;
    expectOneLine(bash(`${replay} '${at('secret.pcap')}'`), 2, /secret\.pcap: no permission to read it/);
    expectOneLine(bash(`${replay} '${ETH0}' --rules '${at('secret.pcap')}'`), 2, /secret\.pcap: it may not be read/);
    expectOneLine(bash(`${replay} '${ETH0}' -w '${at('closed/out.pcap')}'`), 2, /out\.pcap: no permission to write it/);
    expectOneLine(bash(`${replay} '${ETH0}' --json '${at('closed/out.json')}'`), 2, /out\.json: may not be written/);
  });

  it('no command: the help', () => {
    const { code, stdout, stderr } = natreplay([]);
    expect(`${stdout}${stderr}`).toMatch(/^Usage: natreplay /);
    expect(code).toBe(2);
  });
});

describe('usage', () => {
  it.each([
    ['an unknown command', ['reply'], /unknown command 'reply'.*replay/],
    ['an unknown option', ['replay', ETH0, '--counter', 'x'], /unknown option '--counter'.*--counters/],
    ['an option without its value', ['replay', ETH0, '--rules'], /--rules <file...>' argument missing/],
    [
      'a seed that is no number',
      ['replay', ETH0, '--seed', 'dice'],
      /argument 'dice' is invalid: it must be a whole number; see natreplay --help/,
    ],
    ['a word that is no choice', ['replay', ETH0, '--outgoing', 'maybe'], /maybe.*skip, replay, copy/],
    ['two results on standard output', ['replay', ETH0, '-w', '-', '--json', '-'], /only one of --write, --json/],
    ['two inputs on standard input', ['replay', '-', '--rules', '-'], /only one of capture, --rules/],
    ['one file for two results', ['replay', ETH0, '--counters', 'x', '--json', './x'], /same file/],
    ['a result in a folder that is not there', ['replay', ETH0, '--json', 'nowhere/x'], /nowhere does not exist/],
  ])('%s', async (_, args, line) => {
    expectOneLine(await inProcess(args), 2, line);
  });
});

describe('results over inputs', () => {
  const names = ['the same path', 'a symbolic link to it', 'a hard link to it', 'another way to it'] as const;
  const cases = ['-w', '--packet-log', '--counters', '--conntrack', '--json'].flatMap((option, n) =>
    names.filter((_, k) => n === 0 || k === n - 1).map((name) => [option, name] as const),
  );

  it.each(cases)('%s to %s', async (option, name) => {
    const own = scratch();
    try {
      const capture = own.at('in.pcap');
      writeFileSync(capture, FILES['empty.pcap'] ?? '');
      symlinkSync(capture, own.at('symbolic.pcap'));
      linkSync(capture, own.at('hard.pcap'));
      const output = [capture, own.at('symbolic.pcap'), own.at('hard.pcap'), `${own.path}/./in.pcap`];
      const args = ['replay', capture, option, output[names.indexOf(name)] ?? ''];
      expectOneLine(await inProcess(args), 2, /is the capture/);
    } finally {
      own.remove();
    }
  });

  it('--counters over the rules', async () => {
    expectOneLine(
      await inProcess(['replay', ETH0, '--rules', at('cidr.v4'), '--counters', at('cidr.v4')]),
      2,
      /cidr\.v4: the output of --counters is the --rules as well; write to another file/,
    );
  });

  it('-w to a directory', async () => {
    expectOneLine(await inProcess(['replay', ETH0, '-w', at('folder')]), 2, /folder: this is a directory/);
  });
});
