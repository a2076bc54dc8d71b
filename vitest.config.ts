import { defineConfig } from 'vitest/config';

const { CI: ci = '' } = process.env;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/assembly.ts'],
    testTimeout: 20_000,
    // .ci/run takes its last line from the JSON.
    ...(ci === '' ? {} : { reporters: ['default', 'json'], outputFile: { json: 'out/test-results.json' } }),
  },
});
