import { findBuiltIn } from '@sluice/shared/models/built-in-models'
import { type FrameSize, findSize, formatSize, nearestSize } from '@sluice/shared/models/sizes'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { VideoRequest } from '../api/video.ts'

/** The classes of the page's shapes. */
export const RESOLUTION_CLASSES = ['256px', '768px'] as const
export type ResolutionClass = (typeof RESOLUTION_CLASSES)[number]

export const ORIENTATIONS = ['landscape', 'portrait'] as const
type Orientation = (typeof ORIENTATIONS)[number]

/** The page's shapes, with their landscape size per resolution class; a test holds them to the catalogue. */
export const SHAPES = [
  { name: '16:9', sizes: { '256px': '336x192', '768px': '1024x576' } },
  { name: '3:2', sizes: { '256px': '304x208', '768px': '928x624' } },
  { name: '4:3', sizes: { '256px': '288x224', '768px': '880x656' } },
  { name: '1:1', sizes: { '256px': '256x256', '768px': '768x768' } },
  { name: '2:1', sizes: { '256px': '352x176', '768px': '1072x544' } },
  { name: '2.39:1', sizes: { '256px': '384x160', '768px': '1184x496' } },
] as const satisfies readonly { name: string; sizes: Record<ResolutionClass, string> }[]
type ShapeName = (typeof SHAPES)[number]['name']

/** What the viewer chose below the prompt; `seed` is the text as typed, empty = any. */
export interface GenerationSettings {
  /** Null = the service's default. */
  model: string | null
  shape: ShapeName
  orientation: Orientation
  resolution: ResolutionClass
  tier: ServiceTier
  frames: number
  steps: number
  seed: string
}

/** The API's own defaults: 336x192, 129 frames, 50 steps. */
export const DEFAULT_SETTINGS: GenerationSettings = {
  model: null,
  shape: '16:9',
  orientation: 'landscape',
  resolution: '256px',
  tier: 'standard',
  frames: 129,
  steps: 50,
  seed: '',
}

const openSora = findBuiltIn('open-sora-2')
if (openSora === undefined) throw new Error('the model catalogue lacks open-sora-2')
/** The sizes, frames and steps that the page offers: those of this model. */
export const LIMITS = openSora

/** The frame size of the settings. Throws RangeError outside the catalogue, which a test rules out. */
export function chosenSize(
  settings: Pick<GenerationSettings, 'shape' | 'orientation' | 'resolution'>,
): FrameSize {
  const shape = SHAPES.find((candidate) => candidate.name === settings.shape)
  const landscape = shape === undefined ? undefined : findSize(LIMITS, shape.sizes[settings.resolution])
  if (landscape === undefined)
    throw new RangeError(`no ${settings.resolution} size of shape ${settings.shape}`)
  if (settings.orientation === 'landscape') return landscape
  return { width: landscape.height, height: landscape.width, resolution: landscape.resolution }
}

/** The settings with the shape and orientation nearest to an image's. */
export function shapedLike(
  settings: GenerationSettings,
  image: { width: number; height: number },
): GenerationSettings {
  const { width, height } = nearestSize(LIMITS, image, settings.resolution)
  for (const { name } of SHAPES) {
    for (const orientation of ORIENTATIONS) {
      const size = chosenSize({ ...settings, shape: name, orientation })
      if (size.width === width && size.height === height) return { ...settings, shape: name, orientation }
    }
  }
  return settings
}

/** What is wrong with the seed as typed; null when nothing is. */
export function seedFault(seed: string): string | null {
  const text = seed.trim()
  if (text === '' || (/^\d+$/.test(text) && Number.isSafeInteger(Number(text)))) return null
  return `A seed is a whole number from 0 up, or empty for any; this is “${text}”.`
}

/** The request for `prompt` with these settings and an image (a data URL). The seed must pass seedFault. */
export function videoRequest(prompt: string, settings: GenerationSettings, imageUrl?: string): VideoRequest {
  const seed = settings.seed.trim()
  return {
    prompt,
    size: formatSize(chosenSize(settings)),
    num_frames: settings.frames,
    num_steps: settings.steps,
    ...(settings.model === null ? {} : { model: settings.model }),
    ...(settings.tier === DEFAULT_SETTINGS.tier ? {} : { service_tier: settings.tier }),
    ...(seed === '' ? {} : { seed: Number(seed) }),
    ...(imageUrl === undefined ? {} : { input_reference: imageUrl }),
  }
}

/** A random seed of 31 bits, which every runner accepts. */
export function randomSeed(): number {
  const [word = 0] = crypto.getRandomValues(new Uint32Array(1))
  return word >>> 1
}
