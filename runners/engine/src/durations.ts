import type { Generation } from '@sluice/shared/generation'

/** Shapes that one runner makes; more than any catalogue's sizes and lengths that are in use together. */
const SHAPES_MAX = 1_000

/** How long the last job of each model and shape was at work, for engines that do not say how far one is. */
export class Durations {
  readonly #msByShape = new Map<string, number>()

  learn(generation: Generation, ms: number): void {
    const shape = shapeOf(generation)
    this.#msByShape.delete(shape)
    this.#msByShape.set(shape, ms)
    const [oldest] = this.#msByShape.keys()
    if (this.#msByShape.size > SHAPES_MAX && oldest !== undefined) this.#msByShape.delete(oldest)
  }

  /** Estimated milliseconds until a job is over that has been at work for so long; null = unknown. */
  remainingMs(generation: Generation, elapsedMs: number): number | null {
    const ms = this.#msByShape.get(shapeOf(generation))
    return ms === undefined ? null : Math.max(ms - elapsedMs, 0)
  }
}

function shapeOf({ model, mode, width, height, num_frames, num_steps }: Generation): string {
  return `${model} ${mode} ${width}x${height}x${num_frames} ${num_steps}`
}
