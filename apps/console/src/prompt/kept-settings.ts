import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { DEFAULT_SETTINGS, type GenerationSettings, ORIENTATIONS } from './generation-settings.ts'

/**
 * Settings as an earlier visit kept them. What is missing or means nothing any more, since the page has
 * changed meanwhile, is the default; what the model makes of the rest is seen when it is known.
 */
export function settingsOf(kept: unknown): GenerationSettings {
  if (typeof kept !== 'object' || kept === null) return DEFAULT_SETTINGS
  const given = new Map<string, unknown>(Object.entries(kept))
  const oneOf = <T>(name: keyof GenerationSettings, allowed: readonly T[], otherwise: T): T =>
    allowed.find((value) => value === given.get(name)) ?? otherwise
  const text = (name: keyof GenerationSettings): string | null => {
    const value = given.get(name)
    return typeof value === 'string' && value !== '' ? value : null
  }
  const number = (name: keyof GenerationSettings): number | null => {
    const value = given.get(name)
    return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
  }
  return {
    model: text('model'),
    shape: text('shape'),
    orientation: oneOf('orientation', ORIENTATIONS, DEFAULT_SETTINGS.orientation),
    resolution: text('resolution'),
    tier: oneOf('tier', SERVICE_TIERS, DEFAULT_SETTINGS.tier),
    seconds: number('seconds'),
    steps: number('steps'),
    guidance: number('guidance'),
    seed: text('seed') ?? DEFAULT_SETTINGS.seed,
  }
}
