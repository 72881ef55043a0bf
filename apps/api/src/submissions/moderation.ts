import { z } from 'zod'
import type { ModerationSettings } from '../config/prompt-services.ts'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import { AskError, askJson } from '../outgoing/ask-json.ts'

/** The answer of OpenAI's moderation call, as far as it is used here. */
const answerSchema = z.object({
  results: z
    .array(z.object({ flagged: z.boolean(), categories: z.record(z.string(), z.unknown()).optional() }))
    .min(1),
})

const CATEGORIES_MAX = 10
const CATEGORY_CHARS_MAX = 60

/**
 * Asks the operator's moderation hook, when there is one, whether a prompt is allowed. Throws SluiceError
 * `moderation_refused` when it is not, and `unavailable` when the hook cannot be reached and prompts are not
 * to be let through meanwhile.
 */
export async function requireAllowed(
  context: Pick<Context, 'config' | 'log'>,
  prompt: string,
): Promise<void> {
  const settings = context.config.moderation
  if (settings === null) return
  const flagged = await askHook(settings, prompt).catch((error: unknown) => {
    if (!(error instanceof AskError)) throw error
    context.log.warn(
      { reason: error.message, failOpen: settings.failOpen },
      'the moderation hook could not be reached',
    )
    if (settings.failOpen) return null
    throw new SluiceError(
      'unavailable',
      'The prompt could not be checked just now. Please try again.',
      'prompt',
    )
  })
  if (flagged === null) return
  const named = flagged.length === 0 ? '' : ` (${flagged.join(', ')})`
  throw new SluiceError(
    'moderation_refused',
    `The prompt was refused by the moderation of this service${named}. Nothing was charged.`,
    'prompt',
  )
}

/** The categories a prompt was flagged for, which may be none; null when it was not flagged. */
async function askHook(settings: ModerationSettings, prompt: string): Promise<string[] | null> {
  const answer = await askJson(settings.url, {
    body: { input: prompt },
    key: settings.key,
    timeoutMs: settings.timeoutMs,
  })
  const parsed = answerSchema.safeParse(answer)
  if (!parsed.success)
    throw new AskError('its answer is no moderation: results[0].flagged is missing or wrong')
  const flagged = parsed.data.results.filter((result) => result.flagged)
  if (flagged.length === 0) return null
  const names = flagged.flatMap(({ categories = {} }) =>
    Object.keys(categories).filter((name) => categories[name] === true),
  )
  // The hook's words go into an error message, so only what looks like a category gets there.
  return [...new Set(names)]
    .filter((name) => /^[\w /-]+$/.test(name) && name.length <= CATEGORY_CHARS_MAX)
    .slice(0, CATEGORIES_MAX)
}
