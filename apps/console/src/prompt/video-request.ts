import type { VideoRequest } from '../api/video.ts'
import type { Choice } from './choice.ts'
import { DEFAULT_SETTINGS, type GenerationSettings } from './generation-settings.ts'

/** A sentence, and the image (a data URL) that goes with it. */
export interface PromptContent {
  prompt: string
  imageUrl?: string | undefined
}

/**
 * The request with these settings. Without a choice, since the models are not known yet, it leaves everything
 * to the service's default. The seed must pass seedFault.
 */
export function videoRequest(
  { prompt, imageUrl }: PromptContent,
  settings: GenerationSettings,
  choice: Choice | null,
): VideoRequest {
  const seed = settings.seed.trim()
  return {
    prompt,
    ...(choice === null ? {} : { size: choice.size, num_frames: choice.frames, num_steps: choice.steps }),
    ...(choice?.guidance == null || settings.guidance === null ? {} : { guidance: choice.guidance }),
    ...(settings.model === null ? {} : { model: settings.model }),
    ...(settings.tier === DEFAULT_SETTINGS.tier ? {} : { service_tier: settings.tier }),
    ...(seed === '' ? {} : { seed: Number(seed) }),
    ...(imageUrl === undefined || choice?.takesImage === false ? {} : { input_reference: imageUrl }),
  }
}
