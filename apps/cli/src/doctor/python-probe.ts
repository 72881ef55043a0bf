import { execFile } from 'node:child_process'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ServedModel } from '@sluice/shared/runner-protocol'
import { optionalSetting } from '@sluice/shared/settings'
import type { z } from 'zod'
import { type Finding, fail, ok } from './finding.ts'

const run = promisify(execFile)

/** To import torch alone may take half a minute from a cold disk. */
const PROBE_MS_MAX = 120_000

/** The probe of a runner in Python: a module that prints JSON, of this shape, as its last line. */
export interface PythonProbe<Probe> {
  /** The runner's folder. */
  runner: string
  module: string
  /** The setting that names the Python; default `python3`. */
  setting: string
  schema: z.ZodType<Probe>
}

/** Runs a probe in the Python that would run the runner, and judges what it found. Never rejects. */
export async function probePython<Probe>(
  { runner, module, setting, schema }: PythonProbe<Probe>,
  models: readonly ServedModel[],
  env: NodeJS.ProcessEnv,
  judge: (probe: Probe, env: NodeJS.ProcessEnv, python: string) => Finding[],
): Promise<Finding[]> {
  const python = optionalSetting(env, setting) ?? 'python3'
  const folders = [runner, 'python'].map((folder) =>
    fileURLToPath(new URL(`../../../../runners/${folder}`, import.meta.url)),
  )
  try {
    const { stdout } = await run(python, ['-B', '-m', module, '--models', JSON.stringify(models)], {
      timeout: PROBE_MS_MAX,
      env: { ...env, PYTHONPATH: folders.join(delimiter) },
    })
    return judge(schema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')), env, python)
  } catch (error) {
    const why = error instanceof Error ? (error.message.trim().split('\n').at(-1) ?? '') : String(error)
    const hint = `install Python 3.10 or newer, or set ${setting} to the one to use`
    return [fail('python', `${python} does not run the check: ${why}`, hint)]
  }
}

/** Whether that Python is recent enough for our runners. */
export function checkPython(
  python: string,
  version: readonly [number, number, number],
  setting: string,
): Finding {
  const [major, minor] = version
  const said = `${python} is ${version.join('.')}`
  return major > 3 || (major === 3 && minor >= 10)
    ? ok('python', said)
    : fail('python', said, `install Python 3.10 or newer, and set ${setting} to it`)
}
