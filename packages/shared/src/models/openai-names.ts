import type { Model } from './model.ts'
import { type FrameSize, findSize, nearestOf } from './sizes.ts'

/** Names from the OpenAI Videos API that stand for the configured default model. */
export const DEFAULT_MODEL_ALIASES: readonly string[] = [
  'sora-2',
  'sora-2-pro',
  'sora-2-2025-10-06',
  'sora-2-2025-12-08',
  'sora-2-pro-2025-10-06',
]

/** The sizes of the OpenAI Videos API. */
const OPENAI_SIZES = [
  { width: 1280, height: 720 },
  { width: 720, height: 1280 },
  { width: 1792, height: 1024 },
  { width: 1024, height: 1792 },
] as const

/**
 * The size that is made when a request names `text`, a size of the OpenAI Videos API: what the model names
 * for it; that very size, when the model makes it; or else, of its largest class, the size whose aspect
 * ratio is nearest. Undefined for any other text.
 */
export function sizeOfOpenAi(model: Model, text: string): FrameSize | undefined {
  const asked = OPENAI_SIZES.find(({ width, height }) => text === `${width}x${height}`)
  if (asked === undefined) return undefined
  const named = Object.hasOwn(model.openAiSizes, text) ? model.openAiSizes[text] : undefined
  const exact = findSize(model, named ?? text)
  if (exact !== undefined) return exact
  const [first, ...others] = model.sizes.filter((size) => size.resolution === model.resolutions.at(-1))
  return first === undefined ? undefined : nearestOf(first, others, asked)
}

/** The sizes of the OpenAI Videos API, with what the model makes for each. */
export function openAiSizesOf(model: Model): { asked: string; made: FrameSize }[] {
  return OPENAI_SIZES.flatMap(({ width, height }) => {
    const asked = `${width}x${height}`
    const made = sizeOfOpenAi(model, asked)
    return made === undefined ? [] : [{ asked, made }]
  })
}
