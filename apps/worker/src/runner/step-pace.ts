import type { Generation } from '@sluice/shared/generation'

/**
 * The measured pace of videos on one device: time per denoising step, and from the last step until the device
 * is free.
 */
export class StepPace {
  #shape = ''
  /**
   * Milliseconds from the last step until the device is free (decoding), by model and shape, as last
   * measured.
   */
  readonly #tailMs = new Map<string, number>()
  readonly #stepMsByShape = new Map<string, number>()
  #firstStep: { step: number; at: number } | undefined
  #lastStep: { step: number; at: number } | undefined

  started(request: Generation): void {
    this.#shape = `${request.model} ${request.width}x${request.height}x${request.num_frames}`
    this.#firstStep = undefined
    this.#lastStep = undefined
  }

  progressed(phase: string, step: number): void {
    if (phase !== 'denoise' || (this.#lastStep !== undefined && step <= this.#lastStep.step)) return
    this.#lastStep = { step, at: performance.now() }
    this.#firstStep ??= this.#lastStep
    const steps = this.#lastStep.step - this.#firstStep.step
    if (steps > 0) this.#stepMsByShape.set(this.#shape, (this.#lastStep.at - this.#firstStep.at) / steps)
  }

  released(): void {
    if (this.#lastStep !== undefined) this.#tailMs.set(this.#shape, performance.now() - this.#lastStep.at)
  }

  /**
   * Estimated milliseconds until the device is free; null until this model and shape were measured, and
   * before the first step.
   */
  remainingMs(stepsLeft: number): number | null {
    const stepMs = this.#stepMsByShape.get(this.#shape)
    if (stepMs === undefined || this.#lastStep === undefined) return null
    const sinceMs = performance.now() - this.#lastStep.at
    return Math.max(stepsLeft * stepMs + (this.#tailMs.get(this.#shape) ?? 0) - sinceMs, 0)
  }
}
