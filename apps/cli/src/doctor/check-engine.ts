import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readEngineSettings } from '@sluice/shared/engine-settings'
import { readJsonLines } from '@sluice/shared/lines'
import { type RunnerReply, runnerReplySchema, type ServedModel } from '@sluice/shared/runner-protocol'
import { SettingErrors } from '@sluice/shared/settings'
import { type Finding, fail, ok } from './finding.ts'

const RUNNER = fileURLToPath(new URL('../../../../runners/engine/src/main.ts', import.meta.url))
/** Longer than the runner waits for the engine's answer. */
const ANSWER_MS_MAX = 20_000

/**
 * Whether the engine runner could serve these models: it is started as a worker would start it, and asked to
 * load them. It judges URL, key, dialect and models; no video is made.
 */
export async function checkEngine(
  env: NodeJS.ProcessEnv,
  models: readonly [ServedModel, ...ServedModel[]],
): Promise<Finding[]> {
  try {
    readEngineSettings(env)
  } catch (error) {
    if (!(error instanceof SettingErrors)) throw error
    return error.errors.map(({ message, setting }) => fail('engine', message, `correct ${setting}`))
  }
  const reply = await askToLoad(env, models)
  if (reply?.type === 'ready') {
    const modes = (reply.modes ?? []).join(', ')
    return [ok('engine', `${reply.device}: has ${reply.models.join(', ')} (${modes})`)]
  }
  const why =
    reply?.type === 'failed' ? reply.message : `the engine runner said nothing within ${ANSWER_MS_MAX} ms`
  return [fail('engine', why, 'correct what it names; SLUICE_ENGINE_URL has to answer from this host')]
}

async function askToLoad(
  env: NodeJS.ProcessEnv,
  models: readonly [ServedModel, ...ServedModel[]],
): Promise<RunnerReply | undefined> {
  const own = Object.entries(env).filter(([name]) => name === 'PATH' || name.startsWith('SLUICE_ENGINE_'))
  const runner = spawn(process.execPath, [RUNNER], {
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    env: Object.fromEntries(own),
  })
  const replies = runner.stdio[3]
  try {
    return await new Promise((resolve, reject) => {
      runner.once('error', reject)
      runner.stdin?.on('error', () => undefined)
      setTimeout(() => resolve(undefined), ANSWER_MS_MAX).unref()
      if (replies instanceof Readable)
        readJsonLines(
          replies,
          (line) => resolve(runnerReplySchema.safeParse(JSON.parse(line)).data),
          () => resolve(undefined),
        )
      runner.stdin?.write(`${JSON.stringify({ type: 'load', model: models[0].id, models })}\n`)
    })
  } finally {
    // It ends with its stdin.
    runner.stdin?.end()
  }
}
