import { RunnerFailure } from '@sluice/runner/runner-failure'
import { OPEN_SORA_2 } from '@sluice/shared/models/built-in/open-sora'
import { type Makes, makesOf } from '@sluice/shared/models/makes'
import { MODES } from '@sluice/shared/models/model'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'

/** What holds for a model that `load` does not describe: Open-Sora's values, in every mode. */
const UNDESCRIBED: Makes = { ...makesOf(OPEN_SORA_2), modes: [...MODES] }

type LoadRequest = Extract<RunnerRequest, { type: 'load' }>

/** The models it stands in for. It draws them all alike, so it has no weights to look for. */
export class ServedModels {
  readonly #known: readonly string[]
  /** Those that `load` named, and which of them was made last; undefined before `load`. */
  #serving: { makes: ReadonlyMap<string, Makes>; present: string } | undefined

  constructor(known: readonly string[]) {
    this.#known = known
  }

  /**
   * Returns the models it serves from now on, with what it makes of each.
   * @throws RunnerFailure `model_missing` for a model it does not stand in for.
   */
  load(request: LoadRequest): ReadonlyMap<string, Makes> {
    const models = request.models ?? this.#known.map((id) => ({ id, makes: undefined }))
    const ids = models.map(({ id }) => id)
    const unknown = [request.model, ...ids].find((id) => !this.#known.includes(id) || !ids.includes(id))
    if (unknown !== undefined) {
      const made = `this runner makes ${this.#known.join(', ')} (SLUICE_ANIMATIC_MODELS)`
      throw new RunnerFailure('model_missing', `no model ${JSON.stringify(unknown)}; ${made}`)
    }
    const makes = new Map(models.map((model) => [model.id, model.makes ?? UNDESCRIBED]))
    this.#serving = { makes, present: request.model }
    return makes
  }

  /**
   * Returns what it makes of a model.
   * @throws RunnerFailure `model_missing` before `load`, and for a model it does not serve.
   */
  makesOf(model: string): Makes {
    if (this.#serving === undefined)
      throw new RunnerFailure('model_missing', 'no model is loaded; send load first')
    const { makes } = this.#serving
    const found = makes.get(model)
    if (found === undefined) {
      const made = `this runner makes ${[...makes.keys()].join(', ')}`
      throw new RunnerFailure('model_missing', `model ${JSON.stringify(model)}; ${made}`)
    }
    return found
  }

  isPresent(model: string): boolean {
    return this.#serving?.present === model
  }

  /** `model` is the one that was made last. */
  turnTo(model: string): void {
    if (this.#serving !== undefined) this.#serving.present = model
  }
}
