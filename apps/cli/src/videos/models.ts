import { frameRuleText } from '@sluice/shared/models/frame-rule'
import type { Connection } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import type { Terminal } from './terminal.ts'
import type { Model } from './video.ts'
import { VideoClient, type VideoClientTimings } from './video-client.ts'

export interface ModelsOptions {
  connection: Connection
  /** Print the models as JSON instead of words. */
  isJson: boolean
  terminal: Terminal
  /** Aborted by Ctrl-C. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/**
 * Prints what each model makes and what it costs. Returns the exit code: 0, or 130 after Ctrl-C. Throws
 * ApiError.
 */
export async function models(options: ModelsOptions): Promise<number> {
  const { connection, isJson, stop, terminal, timings } = options
  try {
    const client = new VideoClient(connection, { signal: stop, notice: terminal.notice, timings })
    const listed = (await client.models()).filter((model) => model.alias_of === undefined)
    terminal.write(isJson ? `${JSON.stringify(listed)}\n` : listed.map(modelText).join('\n'))
    return 0
  } catch (error) {
    if (stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}

/** A model in a few lines. */
function modelText(model: Model): string {
  const { frames, seconds, steps, size_rule: rule, licence_terms: terms } = model
  const notes = [
    ...(model.is_default ? ['the default'] : []),
    ...(model.is_available ? [] : ['no worker makes it now']),
  ]
  const sides =
    rule === null
      ? []
      : [
          `any size whose sides are multiples of ${rule.multiple} from ${rule.side_min} to ${rule.side_max}, within its class`,
        ]
  const parameters = (['guidance', 'guidance_img', 'motion_score'] as const).flatMap((name) => {
    const range = model[name]
    return range === null ? [] : [`${name} ${rangeText(range)}`]
  })
  const lines = [
    `${model.id}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}: ${model.description}`,
    `modes ${model.modes.join(', ')}${model.sound ? '; with sound' : ''}`,
    ...model.resolutions.map(
      ({ name, price, sizes }) =>
        `${name}, ${price === null ? 'no price' : `${price.per_million} ${price.currency} per million tokens`}: ${sizes.join(', ')}`,
    ),
    ...sides,
    `${frameRuleText(frames)} frames from ${frames.min} to ${frames.max} at ${frames.fps} a second, up to ${Number(seconds.max).toFixed(2)} s (default ${frames.default})`,
    [`steps ${rangeText(steps)}`, ...parameters, ...(model.negative_prompt ? ['negative prompt'] : [])].join(
      '; ',
    ),
    `licence ${terms.name}: ${COMMERCIAL[terms.commercial]}${terms.forbidden_in.length === 0 ? '' : `, not in ${terms.forbidden_in.join(', ')}`}`,
  ]
  return `${lines.join('\n  ')}\n`
}

const COMMERCIAL = {
  yes: 'what it makes may be sold',
  no: 'what it makes may not be sold',
  conditions: 'what it makes may be sold under conditions',
} as const

function rangeText({ min, max, default: usual }: Model['steps']): string {
  return min === max ? String(min) : `${min} to ${max} (default ${usual})`
}
