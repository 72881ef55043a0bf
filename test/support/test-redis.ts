import { askServer } from './ask-servers.ts'

/** A database of the run's private redis-server that no other caller has: what goes into REDIS_URL. It dies with the run. */
export async function createTestRedis(): Promise<string> {
  return (await askServer('redis')).url
}

/** The queue backend this run of the integration suite is for. Throws outside of the two integration projects. */
export function testBackend(): 'postgres' | 'redis' {
  const backend = process.env.SLUICE_TEST_BACKEND
  if (backend === 'postgres' || backend === 'redis') return backend
  throw new Error(
    `SLUICE_TEST_BACKEND must be postgres or redis, got ${backend ?? 'nothing'}: run --project integration-postgres or integration-redis`,
  )
}
