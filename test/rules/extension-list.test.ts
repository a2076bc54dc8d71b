import { describe, expect, it } from 'vitest';
import { listExtensions, remarksOf } from '../../src/rules/extension-list.js';
import { OTHER_MATCHES, OTHER_TARGETS } from '../../src/rules/extensions/known.js';
import { parseRules } from '../../src/rules/index.js';

const extensions = listExtensions();

describe('the list of extensions', () => {
  it('has every one once, with a line of its own', () => {
    const names = extensions.map(({ kind, name }) => `${kind} ${name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { summary } of extensions) expect(summary).toMatch(/^[^\n|]{3,100}$/);
  });

  it('has none of those that are named as unknown', () => {
    const known = new Set(extensions.map(({ name }) => name));
    expect([...OTHER_MATCHES, ...OTHER_TARGETS].filter((name) => known.has(name))).toEqual([]);
  });

  it('says of which family an extension is, and whether it is only parsed', () => {
    const remarks = Object.fromEntries(extensions.map((extension) => [extension.name, remarksOf(extension)]));
    expect(remarks).toMatchObject({
      tcp: '',
      frag: 'IPv6 only',
      srh: 'IPv6 only, parsed only',
      cluster: 'parsed only',
    });
  });
});

describe('extensions that are only parsed', () => {
  const text = '*filter\n-A FORWARD -m devgroup --src-group 5 -j DROP\nCOMMIT\n';
  const read = (unsupported: 'stop' | 'skip' | 'keep') =>
    parseRules(text, { file: 'rules.v4', family: 4, unsupported });

  it('stop a replay', () => {
    expect(() => read('stop')).toThrow(/rules\.v4:2:15: match devgroup is not supported/);
  });

  it('never match when such rules are to be skipped', () => {
    expect(read('skip').skipped).toMatchObject([{ missing: 'match devgroup' }]);
  });

  it('are kept where rules are only read and printed, but not with wrong options', () => {
    expect(read('keep').skipped).toEqual([]);
    const wrong = text.replace('group 5', 'group here');
    for (const unsupported of ['keep', 'skip'] as const)
      expect(() => parseRules(wrong, { file: 'rules.v4', family: 4, unsupported })).toThrow(/is not a number/);
  });
});
