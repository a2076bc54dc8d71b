/** `natreplay generate` on the command line: files, formats, and what is refused. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { openCapture } from '../../src/capture/index.js';
import { Slab } from '../../src/capture/slab.js';
import { PROFILES } from '../../src/generate/profiles.js';
import { inProcess, natreplay, ROOT, scratch } from '../support/cli.js';

const folder = scratch();
afterAll(() => folder.remove());

const generate = (...args: string[]) => inProcess(['generate', ...args]);

function emptyFolder(name: string): string {
  mkdirSync(folder.at(name));
  return folder.at(name);
}

describe('what is written', () => {
  it('the capture, and beside it the host and the rules', async () => {
    const at = emptyFolder('docker');
    const { code, stdout, stderr } = await generate('docker', '-w', `${at}/c.pcap`, '--packets', '1k');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/c\.pcap: 1,000 packets of 62 connections, .* MB, in .* s/);
    expect(stdout).toContain(`with it: ${at}/host.json, ${at}/rules.v4\n`);
    expect(readdirSync(at).sort()).toEqual(['c.pcap', 'host.json', 'rules.v4']);
  });

  it('IPv6 rules, of a profile with IPv6', async () => {
    const at = emptyFolder('mix');
    await generate('mix', '-w', `${at}/c.pcap`, '--packets', '1k', '-q');
    expect(readdirSync(at).sort()).toEqual(['c.pcap', 'host.json', 'rules.v4', 'rules.v6']);
  });

  it('where it is told to', async () => {
    const at = emptyFolder('named');
    const [host, rules] = [`${at}/h.json`, `${at}/r.txt`];
    await generate('home', '-w', `${at}/c.pcap`, '--packets', '1k', '--host', host, '--rules', rules, '-q');
    expect(readdirSync(at).sort()).toEqual(['c.pcap', 'h.json', 'r.txt']);
  });

  it('a rule for each of --rules-count', async () => {
    const at = emptyFolder('count');
    await generate('64byte', '-w', `${at}/c.pcap`, '--packets', '1k', '--rules-count', '37', '-q');
    expect(readFileSync(`${at}/rules.v4`, 'utf8').match(/-j DNAT/g)).toHaveLength(37);
  });

  it('gzip by its name', async () => {
    const at = emptyFolder('gzip');
    await generate('imix', '-w', `${at}/c.pcap`, '--packets', '1k', '-q');
    await generate('imix', '-w', `${at}/c.pcap.gz`, '--packets', '1k', '-q');
    expect(gunzipSync(readFileSync(`${at}/c.pcap.gz`)).equals(readFileSync(`${at}/c.pcap`))).toBe(true);
  });

  it('pcapng with the interfaces by name', async () => {
    const at = emptyFolder('pcapng');
    await generate('docker', '-w', `${at}/c.pcapng`, '--packets', '1k', '-q');
    const reader = await openCapture(`${at}/c.pcapng`);
    const slab = new Slab(4 << 20);
    let records = 0;
    while (await reader.next(slab)) records += slab.records.count;
    expect(records).toBe(1000);
    expect(reader.interfaces.map(({ name }) => name)).toEqual(['docker0', 'eth0']);
    await reader.close();
  });

  it('capture time at --rate', async () => {
    const at = emptyFolder('rate');
    await generate('home', '-w', `${at}/c.pcap`, '--packets', '1k', '--rate', '100', '-q');
    const bytes = readFileSync(`${at}/c.pcap`);
    let last = 24;
    for (let next = 24; next < bytes.length; next += 16 + bytes.readUInt32LE(next + 8)) last = next;
    expect(bytes.readUInt32LE(last) - bytes.readUInt32LE(24)).toBeGreaterThan(8);
    expect(bytes.readUInt32LE(last) - bytes.readUInt32LE(24)).toBeLessThan(12);
  });

  it('on standard output the capture alone', () => {
    const at = emptyFolder('stdout');
    const { output, stderr } = natreplay(['generate', '64byte', '-w', '-', '--packets', '1000'], { cwd: at });
    expect(output.length).toBe(24 + 1000 * 80);
    expect(stderr).toMatch(/^capture: 1,000 packets/);
    expect(readdirSync(at)).toEqual([]);
  });
});

describe('files that are there already', () => {
  it('generated ones are replaced', async () => {
    const at = emptyFolder('again');
    for (const count of ['5', '7']) {
      const { code } = await generate('docker', '-w', `${at}/c.pcap`, '--packets', '1k', '--rules-count', count, '-q');
      expect(code).toBe(0);
    }
    expect(readFileSync(`${at}/rules.v4`, 'utf8').match(/-j DNAT/g)).toHaveLength(7);
  });

  it("a real machine's host file is not, unless it is named", async () => {
    const at = emptyFolder('kept');
    writeFileSync(`${at}/host.json`, '{"addr": []}');
    const refused = await generate('docker', '-w', `${at}/c.pcap`, '--packets', '1k', '-q');
    expect(refused).toMatchObject({
      code: 2,
      stderr: `natreplay: ${at}/host.json: is there already, and was not generated; name another file, or this one, with --host\n`,
    });
    expect(existsSync(`${at}/c.pcap`)).toBe(false);
    expect(statSync(`${at}/host.json`).size).toBe(12);
    await generate('docker', '-w', `${at}/c.pcap`, '--packets', '1k', '-q', '--host', `${at}/host.json`);
    expect(statSync(`${at}/host.json`).size).toBeGreaterThan(1000);
  });
});

describe('refused, in a line, with exit code 2', () => {
  it.each([
    [['dokcer'], "no profile 'dokcer'; did you mean docker?"],
    [['xyzzy'], "no profile 'xyzzy'; there are docker, home, kubernetes, csit-nat44"],
    [['home', '--rate', '0'], 'a rate of 0 packets a second is none; say one above 0'],
    [['home', '--rate', 'fast'], "'fast' is invalid: it must be a whole number such as 500, 20k or 5M"],
    [['imix', '--packets', '0'], 'packets: 0 is no whole number from 1 on'],
    [
      ['imix', '--packets', '700', '--connections', '100'],
      '700 packets are too few for 100 connections, which need 800; ask for more packets, or fewer connections',
    ],
    [
      ['csit-nat44', '--connections', '17M'],
      '17000000 connections are more than csit-nat44 has addresses and ports for; at most 16515072',
    ],
    [['docker', '--rules-count', '1'], '1 is too few: docker takes 2 to 50000 published ports, a container each'],
    [['docker', '--rules-count', '60000'], '60000 is too many: docker takes 2 to 50000'],
    [['imix', '--seed', '4294967296'], 'the seed: 4294967296 is no whole number from 0 to 4294967295'],
    [['imix', '--packets', '10G', '--rate', '1'], 'longer than a pcap'],
  ])('%j', async (args, expected) => {
    const { code, stdout, stderr } = await generate(...args, '-w', folder.at('refused.pcap'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(expected);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(existsSync(folder.at('refused.pcap'))).toBe(false);
  });

  it('no output', async () => {
    expect(await generate('docker')).toMatchObject({ code: 2 });
  });

  it('an output in the place of what belongs to it', async () => {
    const { code, stderr } = await generate('docker', '-w', folder.at('host.json'));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('write to the same file') });
  });
});

describe('the documentation', () => {
  it('lists every profile', () => {
    const text = readFileSync(`${ROOT}/docs/generate.md`, 'utf8');
    const rows = [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
    expect(rows).toEqual(PROFILES.map(({ name }) => name));
  });
});
