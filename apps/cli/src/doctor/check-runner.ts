import { access } from 'node:fs/promises'
import { MODELS } from '@sluice/shared/model-catalogue'
import { given } from '../up/settings.ts'
import { output } from './check-installation.ts'
import { type Finding, fail, note, ok } from './finding.ts'

/** What the configured runner needs. The animatic runner needs nothing but Node. */
export async function checkRunner(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const runner = given(env.SLUICE_RUNNER) ?? 'animatic'
  if (given(env.SLUICE_RUNNER_COMMAND) !== null) return [note('runner', 'SLUICE_RUNNER_COMMAND: a command of your own')]
  if (runner === 'animatic') return [ok('runner', 'animatic: draws title cards, no model, no GPU')]
  if (runner !== 'open-sora')
    return [fail('runner', `SLUICE_RUNNER must be animatic or open-sora, got "${runner}"`, 'correct SLUICE_RUNNER')]
  return [await checkPython(), await checkOpenSora(given(env.OPENSORA_HOME)), await checkGpu()]
}

async function checkPython(): Promise<Finding> {
  const version = await output('python3', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])')
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (major > 3 || (major === 3 && minor >= 10)) return ok('python', `python3 is ${version}`)
  return fail('python', `python3 3.10 or newer is needed, found ${version ?? 'none'}`, 'install Python 3.10 or newer')
}

async function checkOpenSora(home: string | null): Promise<Finding> {
  if (home === null)
    return fail('open-sora', 'OPENSORA_HOME is not set', 'set OPENSORA_HOME to the folder of an Open-Sora 2.0 installation')
  const there = await access(home).then(
    () => true,
    () => false,
  )
  return there ? ok('open-sora', home) : fail('open-sora', `OPENSORA_HOME: ${home} is not there`, 'correct OPENSORA_HOME')
}

async function checkGpu(): Promise<Finding> {
  const list = await output('nvidia-smi', '--query-gpu=name,memory.total', '--format=csv,noheader')
  if (list === null || list === '')
    return fail('gpu', 'nvidia-smi finds no GPU', 'install the NVIDIA driver, or set SLUICE_RUNNER=animatic')
  return ok('gpu', list.split('\n').join('; '))
}

/** What each model may be used for. */
export function licences(): Finding[] {
  return MODELS.map((model) => note('licence', `${model.id}: ${model.licence}`))
}
