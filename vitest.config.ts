import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
    // Two workers with one thread each: threads of several runtimes on few cores spin against each other.
    maxWorkers: 2,
    env: { PERSONA_THREADS: '1' },
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
