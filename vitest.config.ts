import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts', 'recipes/**/*.test.ts'],
    setupFiles: ['test/helpers/property-seed.ts'],
    // Two workers with one thread each: threads of several runtimes on few cores spin against each other.
    maxWorkers: 2,
    env: {
      PERSONA_THREADS: '1',
      // Never the user's own cache of quantised weights.
      PERSONA_CACHE: fileURLToPath(new URL('node_modules/.cache/persona-weights', import.meta.url)),
    },
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
