import type { ServiceTier } from '@sluice/shared/service-tier'

export const ORIENTATIONS = ['landscape', 'portrait'] as const
export type Orientation = (typeof ORIENTATIONS)[number]

/**
 * What the viewer wishes for, whatever the model; null = as the model usually does. What a model makes of it
 * is its `choiceOf`, so a wish outlives a model that cannot fulfil it.
 */
export interface GenerationSettings {
  /** Null = the service's default. */
  model: string | null
  /** The name of an aspect ratio. */
  shape: string | null
  orientation: Orientation
  /** The name of a resolution class. */
  resolution: string | null
  tier: ServiceTier
  seconds: number | null
  steps: number | null
  /** Only of this model: another one's number means something else. */
  guidance: number | null
  /** As typed; empty = any. */
  seed: string
}

export const DEFAULT_SETTINGS: GenerationSettings = {
  model: null,
  shape: null,
  orientation: 'landscape',
  resolution: null,
  tier: 'standard',
  seconds: null,
  steps: null,
  guidance: null,
  seed: '',
}

/** What is wrong with the seed as typed; null when nothing is. */
export function seedFault(seed: string): string | null {
  const text = seed.trim()
  if (text === '' || (/^\d+$/.test(text) && Number.isSafeInteger(Number(text)))) return null
  return `A seed is a whole number from 0 up, or empty for any; this is “${text}”.`
}

/** A random seed of 31 bits, which every runner accepts. */
export function randomSeed(): number {
  const [word = 0] = crypto.getRandomValues(new Uint32Array(1))
  return word >>> 1
}
