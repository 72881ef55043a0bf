import { defineConfig } from 'vitest/config'

/**
 * The integration suite and the conformance suite of unmodified clients are one set of files, run once per
 * queue backend.
 */
const integration = (backend: 'postgres' | 'redis') => ({
  test: {
    name: `integration-${backend}`,
    include: ['test/{integration,conformance}/**/*.test.ts'],
    // The API's document is the same on both, and what is made of it takes a while; no payment is queued.
    exclude:
      backend === 'redis'
        ? [
            'test/conformance/document-*.test.ts',
            'test/integration/{payments,payment-commands,statements}.test.ts',
          ]
        : [],
    env: { SLUICE_TEST_BACKEND: backend },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    // Two cores are enough to run everything; more workers would only make timing-sensitive tests wait for
    // each other.
    maxWorkers: 2,
    teardownTimeout: 30_000,
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{apps,packages,runners}/**/*.test.{ts,tsx}',
            'test/*.test.ts',
            'test/{support,mutants}/**/*.test.ts',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      integration('postgres'),
      integration('redis'),
      {
        test: {
          name: 'end-to-end',
          include: ['test/end-to-end/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      { test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], testTimeout: 400_000 } },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          env: { SLUICE_TEST_BACKEND: 'postgres' },
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // The default is a second, which a page on a busy machine may take to draw.
          expect: { poll: { timeout: 20_000 } },
        },
      },
    ],
  },
})
