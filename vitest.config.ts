import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [{ test: { name: 'unit', include: ['{apps,packages,runners}/**/*.test.ts'], testTimeout: 60_000 } }],
  },
})
