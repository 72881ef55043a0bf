import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** `npm run test:diffusers`. No part of `npm test`: it needs torch and the library (DIFFUSERS_PYTHON). */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/diffusers/**/*.test.ts'],
    testTimeout: 1_200_000,
    hookTimeout: 300_000,
  },
})
