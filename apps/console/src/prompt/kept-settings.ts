import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import {
  DEFAULT_SETTINGS,
  type GenerationSettings,
  LIMITS,
  ORIENTATIONS,
  RESOLUTION_CLASSES,
  SHAPES,
} from './generation-settings.ts'

/**
 * Settings as an earlier visit kept them. What is missing or means nothing any more, since the page has
 * changed meanwhile, is the default.
 */
export function settingsOf(kept: unknown): GenerationSettings {
  if (typeof kept !== 'object' || kept === null) return DEFAULT_SETTINGS
  const given = new Map<string, unknown>(Object.entries(kept))
  const oneOf = <T>(name: keyof GenerationSettings, allowed: readonly T[], otherwise: T): T =>
    allowed.find((value) => value === given.get(name)) ?? otherwise
  const within = (name: 'frames' | 'steps', min: number, max: number, step: number): number => {
    const value = given.get(name)
    const fits = typeof value === 'number' && value >= min && value <= max && (value - min) % step === 0
    return fits ? value : DEFAULT_SETTINGS[name]
  }
  const { model, seed } = { model: given.get('model'), seed: given.get('seed') }
  return {
    model: typeof model === 'string' ? model : null,
    shape: oneOf(
      'shape',
      SHAPES.map(({ name }) => name),
      DEFAULT_SETTINGS.shape,
    ),
    orientation: oneOf('orientation', ORIENTATIONS, DEFAULT_SETTINGS.orientation),
    resolution: oneOf('resolution', RESOLUTION_CLASSES, DEFAULT_SETTINGS.resolution),
    tier: oneOf('tier', SERVICE_TIERS, DEFAULT_SETTINGS.tier),
    frames: within('frames', LIMITS.frames.min, LIMITS.frames.max, 4),
    steps: within('steps', LIMITS.steps.min, LIMITS.steps.max, 1),
    seed: typeof seed === 'string' ? seed : DEFAULT_SETTINGS.seed,
  }
}
