/** Whatever ends the process, its namespaces and everything that runs in them go with it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `namespaces are removed (${requirement.reason})` : 'namespaces are removed';
const script = fileURLToPath(new URL('hold-gateway.ts', import.meta.url));

const namespacesOf = (pid: number | undefined): string[] =>
  existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`natreplay-${pid}-`)) : [];

describe.skipIf(requirement.skip)(title, () => {
  it.each([
    ['on Ctrl-C', 'SIGINT'],
    ['on SIGTERM', 'SIGTERM'],
    ['even on SIGKILL', 'SIGKILL'],
    ['after an uncaught exception', undefined],
  ] as const)('%s', async (_name, signal) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    expect(namespacesOf(child.pid)).toHaveLength(2);
    if (signal === undefined) child.stdin.write('now\n');
    else child.kill(signal);
    await once(child, 'exit');
    await vi.waitFor(() => expect(namespacesOf(child.pid)).toEqual([]), { timeout: 10_000, interval: 50 });
  });
});
