import { askServer } from './ask-servers.ts'

/** The URL of a database of the run's redis-server that no other caller uses. It ends with the run. */
export async function createTestRedis(): Promise<string> {
  return (await askServer('redis')).url
}

/** The queue backend of this run of the integration suite. Throws outside the two integration projects. */
export function testBackend(): 'postgres' | 'redis' {
  const backend = process.env.SLUICE_TEST_BACKEND
  if (backend === 'postgres' || backend === 'redis') return backend
  throw new Error(
    `SLUICE_TEST_BACKEND must be postgres or redis, got ${backend ?? 'nothing'}: ` +
      'run --project integration-postgres or integration-redis',
  )
}
