import { fileURLToPath } from 'node:url'
import { judgeDatabase } from '@sluice/shared/judge-database'
import { judgeRedis, unfitRedis } from '@sluice/shared/judge-redis'
import { ask, doubtfulParts, missingParts } from '../up/api-state.ts'
import { type Finding, fail, note, ok } from './finding.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../../api/migrations', import.meta.url))
const PRICE_TODO = 'npx sluice economics shows costs and prices, npx sluice price-list what to ask'
const SEE_LOG = 'see logs/api.log in the data dir'

/**
 * `isExpected`: the service runs, so an API that does not answer is a failure. Only with its admin key does
 * it say why it is not ready.
 */
export async function checkApi(
  apiUrl: string,
  { isExpected, adminKey }: { isExpected: boolean; adminKey?: string },
): Promise<Finding[]> {
  const health = await ask(`${apiUrl}/health`)
  if (health === null) {
    const silence = `nothing answers at ${apiUrl}`
    return [
      isExpected
        ? fail('api', silence, SEE_LOG)
        : note('api', `${silence}: the service is not running`, 'npm start'),
    ]
  }
  if (health.status !== 200) {
    return [fail('api', `${apiUrl}/health answers ${health.status}: ${health.body.slice(0, 300)}`, SEE_LOG)]
  }
  const ready = await ask(`${apiUrl}/ready`, { key: adminKey })
  const apiFinding = ok('api', `${apiUrl}/health answers`)
  if (ready?.status === 200) {
    const prices = doubtfulParts(ready).filter(({ part }) => part === 'price')
    return [
      apiFinding,
      ok('ready', 'database, queue, store and a worker for the default model answer'),
      ...prices.map(({ problem }) => note('price', problem, PRICE_TODO)),
    ]
  }
  return [apiFinding, fail('ready', missingParts(ready), 'start what is missing; see logs/ in the data dir')]
}

export async function checkDatabase(url: string): Promise<Finding> {
  try {
    const { version, isBehind, isFresh } = await judgeDatabase(url, MIGRATIONS_DIR)
    const schema = isFresh
      ? ', empty'
      : isBehind
        ? ', its schema is brought up to date at the next start'
        : ''
    return ok('database', `SLUICE_DATABASE_URL: PostgreSQL ${version}${schema}`)
  } catch (error) {
    return fail(
      'database',
      describe(error),
      'the embedded PostgreSQL is used when SLUICE_DATABASE_URL is unset',
    )
  }
}

/** Looks at the Redis as API and worker do when they start. */
export async function checkRedis(setting: string, url: string): Promise<Finding[]> {
  const verdict = await judgeRedis(url)
  switch (verdict.state) {
    case 'unfit':
      return [
        fail('redis', unfitRedis(setting, verdict.problem).message, `correct ${setting}, or that Redis`),
      ]
    case 'away':
      return [
        fail(
          'redis',
          `${setting}: ${verdict.problem}`,
          'start that Redis; without REDIS_URL the queue is in PostgreSQL',
        ),
      ]
    case 'fit':
      return [
        ok('redis', `${setting}: Redis ${verdict.version} answers`),
        ...verdict.warnings.map((warning) => fail('redis', `${setting}: ${warning}`, 'change that Redis')),
      ]
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name)
}
