import { optionalSetting } from '@sluice/shared/settings'
import { faultsOfSettings } from '../up/check-settings.ts'
import { apiEnvironment, workerEnvironment } from '../up/child-environment.ts'
import { namesQueue, type UpSettings } from '../up/settings.ts'
import { ANY_DATABASE, ANY_TOKEN } from '../up/up.ts'
import { type Finding, fail, ok } from './finding.ts'

/** True for the environment of a worker alone, as on a GPU host: the API is elsewhere. */
export function isWorkerHost(env: NodeJS.ProcessEnv): boolean {
  return optionalSetting(env, 'SLUICE_API_URL') !== undefined
}

/** What API and worker would say of their settings when they start; on a GPU host the worker alone. */
export async function checkSettings(env: NodeJS.ProcessEnv, settings: UpSettings): Promise<Finding[]> {
  if (isWorkerHost(env)) return checkProgram('worker', definedOf(env))
  const { databaseUrl } = settings
  const queueUrl = namesQueue(env) ? null : ANY_DATABASE
  const findings = await Promise.all([
    checkProgram('api', apiEnvironment(env, settings, databaseUrl ?? ANY_DATABASE)),
    checkProgram('worker', workerEnvironment(env, settings, ANY_TOKEN, queueUrl)),
  ])
  return findings.flat()
}

async function checkProgram(
  program: 'api' | 'worker',
  environment: Record<string, string>,
): Promise<Finding[]> {
  const part = 'settings'
  try {
    const faults = await faultsOfSettings(program, environment)
    if (faults.length === 0) return [ok(part, `the ${program} takes its settings`)]
    return faults.map((fault) => fail(part, fault, 'correct that setting'))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [fail(part, `the ${program} cannot read its settings: ${why}`, 'npm install')]
  }
}

function definedOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
