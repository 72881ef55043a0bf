import { RunnerFailure } from '@sluice/runner/runner-failure'
import type { EngineSettings } from '@sluice/shared/engine-settings'
import type { Makes } from '@sluice/shared/models/makes'
import type { Mode } from '@sluice/shared/models/model'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import type { Dialect } from './dialects/dialect.ts'
import { dialectNamed, dialectOf, type ListedModel, listedModels } from './dialects/find-dialect.ts'
import type { EngineHttp } from './engine-http.ts'
import { awayBy } from './refusal.ts'

type LoadRequest = Extract<RunnerRequest, { type: 'load' }>

/** A model as it was asked for, and what the engine calls it. */
export interface ServedModel {
  id: string
  engineModel: string
  makes: Makes
}

export interface JudgedEngine {
  dialect: Dialect
  models: ReadonlyMap<string, ServedModel>
  /** What it serves of the models' modes. */
  modes: Mode[]
}

/**
 * Asks the engine what it is and what it has, and judges the models by it. Throws RunnerFailure that names
 * the setting or the model at fault, EngineAwayError when the engine is away.
 */
export async function judgeEngine(
  http: EngineHttp,
  settings: EngineSettings,
  request: LoadRequest,
): Promise<JudgedEngine> {
  const answer = await http.call({ method: 'GET', path: '/v1/models' })
  const listed = answer.status < 300 ? listedModels(answer.body) : undefined
  if (listed === undefined) {
    if (answer.status >= 300 && answer.status !== 404) throw awayBy(answer)
    throw new RunnerFailure('bad_input', 'SLUICE_ENGINE_URL: there is no list of models at /v1/models')
  }
  const dialect = settings.dialect === null ? told(listed) : dialectNamed(settings.dialect)
  const models = servedModels(request).map((model) => judgeModel(model, listed, dialect))
  const modes = dialect.modes.filter((mode) => models.some(({ makes }) => makes.modes.includes(mode)))
  return { dialect, models: new Map(models.map((model) => [model.id, model])), modes }
}

function told(listed: readonly ListedModel[]): Dialect {
  const dialect = dialectOf(listed)
  if (dialect !== undefined) return dialect
  const owners = [...new Set(listed.map((model) => model.owned_by ?? 'nobody'))].join(', ')
  throw new RunnerFailure(
    'bad_input',
    `SLUICE_ENGINE_DIALECT is not set, and the models of the engine, owned by ${owners || 'nobody'}, do not tell it`,
  )
}

function servedModels({ model, models }: LoadRequest): ServedModel[] {
  return (models ?? [{ id: model }]).map((served) => {
    if (served.makes === undefined)
      throw new RunnerFailure('bad_input', `model ${served.id}: no catalogue says what it makes`)
    return { id: served.id, engineModel: served.engine_model ?? served.id, makes: served.makes }
  })
}

function judgeModel(model: ServedModel, listed: readonly ListedModel[], dialect: Dialect): ServedModel {
  const { id, engineModel, makes } = model
  const refuse = (why: string) => new RunnerFailure('model_missing', `model ${id}: ${why}`)
  const found = listed.find((candidate) => candidate.id === engineModel)
  if (found === undefined) {
    const names = listed.map((candidate) => candidate.id).join(', ')
    throw refuse(
      `the engine has no ${JSON.stringify(engineModel)}; it has ${names || 'none'}: engine_model in the catalogue names one`,
    )
  }
  if (!makes.modes.some((mode) => dialect.modes.includes(mode)))
    throw refuse(`its modes are ${makes.modes.join(', ')}; ${dialect.name} makes ${dialect.modes.join(', ')}`)
  const conditions = makes.i2v_conditions ?? []
  if (conditions.some((condition) => !dialect.conditions.includes(condition))) {
    const made = dialect.conditions.join(', ')
    throw refuse(
      `its i2v_conditions are ${conditions.join(', ')}; ${dialect.name} makes ${made}, which the catalogue then says too`,
    )
  }
  const { frames } = found
  if (frames !== undefined && (frames.fps !== makes.fps || frames.max < makes.frames.max)) {
    throw refuse(
      `it is said to make ${makes.frames.max} frames at ${makes.fps} fps; the engine's makes ${frames.max} at ${frames.fps}`,
    )
  }
  return model
}
