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

type ModerationContext = Pick<Context, 'config' | 'log'>

/** The fields that steer a video, and what a message calls them. */
const SUBJECTS = { prompt: 'The prompt', negative_prompt: 'negative_prompt', input_reference: 'The image' }

/**
 * Asks the operator's moderation hook, when there is one, whether a text is allowed; blank text is not asked
 * about. Throws SluiceError `moderation_refused` when it is not, and `unavailable` when the hook cannot be
 * reached and texts are not to be let through meanwhile.
 */
export async function requireAllowed(
  context: ModerationContext,
  field: 'prompt' | 'negative_prompt',
  text: string,
): Promise<void> {
  if (text.trim() !== '') await requireUnflagged(context, field, text)
}

/** As `requireAllowed`, for an image as the runner gets it. Only a hook that takes images is asked. */
export async function requireImageAllowed(context: ModerationContext, png: Buffer): Promise<void> {
  if (context.config.moderation?.takesImages !== true) return
  const url = `data:image/png;base64,${png.toString('base64')}`
  await requireUnflagged(context, 'input_reference', [{ type: 'image_url', image_url: { url } }])
}

async function requireUnflagged(
  context: ModerationContext,
  field: keyof typeof SUBJECTS,
  input: unknown,
): Promise<void> {
  const settings = context.config.moderation
  if (settings === null) return
  const subject = SUBJECTS[field]
  const flagged = await askHook(settings, input).catch((error: unknown) => {
    if (!(error instanceof AskError)) throw error
    context.log.warn(
      { reason: error.message, failOpen: settings.failOpen },
      'the moderation hook could not be reached',
    )
    if (settings.failOpen) return null
    throw new SluiceError('unavailable', `${subject} could not be checked just now. Please try again.`, field)
  })
  if (flagged === null) return
  const named = flagged.length === 0 ? '' : ` (${flagged.join(', ')})`
  throw new SluiceError(
    'moderation_refused',
    `${subject} was refused by the moderation of this service${named}. Nothing was charged.`,
    field,
  )
}

/** The categories an input was flagged for, which may be none; null when it was not flagged. */
async function askHook(settings: ModerationSettings, input: unknown): Promise<string[] | null> {
  const answer = await askJson(settings.url, {
    body: { input },
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
