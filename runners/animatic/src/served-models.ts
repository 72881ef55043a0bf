import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { RunnerFailure } from './runner-failure.ts'

type LoadRequest = Extract<RunnerRequest, { type: 'load' }>

/** The models it stands in for. It draws them all alike, so it has no weights to look for. */
export class ServedModels {
  readonly #known: readonly string[]
  /** Those that `load` named, and which of them was made last; undefined before `load`. */
  #serving: { ids: readonly string[]; present: string } | undefined

  constructor(known: readonly string[]) {
    this.#known = known
  }

  /**
   * Returns the models it serves from now on.
   * @throws RunnerFailure `model_missing` for a model it does not stand in for.
   */
  load(request: LoadRequest): readonly string[] {
    const ids = request.models?.map(({ id }) => id) ?? this.#known
    const unknown = [request.model, ...ids].find((id) => !this.#known.includes(id) || !ids.includes(id))
    if (unknown !== undefined) {
      const made = `this runner makes ${this.#known.join(', ')} (SLUICE_ANIMATIC_MODELS)`
      throw new RunnerFailure('model_missing', `no model ${JSON.stringify(unknown)}; ${made}`)
    }
    this.#serving = { ids, present: request.model }
    return ids
  }

  /** @throws RunnerFailure `model_missing` before `load`, and for a model it does not serve. */
  check(model: string): void {
    if (this.#serving === undefined)
      throw new RunnerFailure('model_missing', 'no model is loaded; send load first')
    const { ids } = this.#serving
    if (!ids.includes(model)) {
      const made = `this runner makes ${ids.join(', ')}`
      throw new RunnerFailure('model_missing', `model ${JSON.stringify(model)}; ${made}`)
    }
  }

  isPresent(model: string): boolean {
    return this.#serving?.present === model
  }

  /** `model` is the one that was made last. */
  turnTo(model: string): void {
    if (this.#serving !== undefined) this.#serving.present = model
  }
}
