import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/**
 * `npm run test:open-sora`. No part of `npm test`: it needs an Open-Sora checkout (OPENSORA_HOME) and its
 * libraries (OPENSORA_PYTHON).
 */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/open-sora/**/*.test.ts'],
    // Each Python test has a bound of its own; this one is for a whole module of them.
    testTimeout: 3_600_000,
    hookTimeout: 300_000,
  },
})
