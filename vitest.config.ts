import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const { CI: ci = '' } = process.env;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/assembly.ts'],
    setupFiles: ['test/support/seed.ts'],
    // A test that asks the kernel runs a dozen programs, on a machine that may have a lot to do.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One process for many files: loading the same modules again for each took longer than many a file's tests. A file
    // that changes what a module holds must put it back, or import a copy (vi.resetModules).
    isolate: false,
    // Vitest leaves one processor free. Tests wait for programs half of their time, so no processor need be.
    maxWorkers: availableParallelism(),
    // .ci/run takes its last line from the JSON.
    ...(ci === '' ? {} : { reporters: ['default', 'json'], outputFile: { json: 'out/test-results.json' } }),
  },
});
