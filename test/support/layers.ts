/**
 * The rooms of each program, from the ground up: a room imports only rooms that stand before it in this list.
 * A room is a folder below `src`, or a file that stands in `src` itself. What is not listed here fails
 * `npm run check`.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'apps/api/src': [
    'errors.ts',
    'log.ts',
    'db',
    'outgoing',
    'storage',
    'config',
    'audit',
    'ledger',
    'context.ts',
    'prices',
    'workers',
    'webhooks',
    'keys',
    'accounts',
    'inputs',
    'videos',
    'attempts',
    'gate',
    'forecast',
    'submissions',
    'economics',
    'metrics',
    'readiness.ts',
    'services.ts',
    'http',
    'routes',
    'app.ts',
    'compose.ts',
    'start-api.ts',
    'main.ts',
  ],
}
