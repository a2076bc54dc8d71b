import { describe, expect, it } from 'vitest';
import { withBuiltinChains } from '../../src/verify/builtinchains.js';

describe('built-in chains that a rule file leaves out', () => {
  it('are declared for each table, behind its name', () => {
    const text = '*nat\n:PREROUTING DROP [1:2]\n:DOCKER - [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n*raw\nCOMMIT\n';
    expect(withBuiltinChains(text).split('\n')).toEqual([
      '*nat',
      ':INPUT ACCEPT [0:0]',
      ':OUTPUT ACCEPT [0:0]',
      ':POSTROUTING ACCEPT [0:0]',
      ':PREROUTING DROP [1:2]',
      ':DOCKER - [0:0]',
      '-A PREROUTING -j DOCKER',
      'COMMIT',
      '*raw',
      ':PREROUTING ACCEPT [0:0]',
      ':OUTPUT ACCEPT [0:0]',
      'COMMIT',
      '',
    ]);
  });

  it('leave a complete file as it is', () => {
    const text = '# by hand\n*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
    expect(withBuiltinChains(text)).toBe(text);
  });
});
