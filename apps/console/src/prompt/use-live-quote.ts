import type { PublicQuote } from '@sluice/shared/public-quote'
import { useEffect, useState } from 'react'
import { useMayWrite, useQuote, useTierPrices } from '../api/queries.ts'
import type { VideoRequest } from '../api/video.ts'
import type { Choice } from './choice.ts'
import type { GenerationSettings } from './generation-settings.ts'
import { videoRequest } from './video-request.ts'

/** A slider sends many values; the one it rests at is asked about. */
const REST_MS = 350
/** Neither the sentence nor the image nor the seed has a part in the price, so none of them is sent. */
const ANY_PROMPT = '.'

/** The quote of the chosen settings. */
export interface LiveQuote {
  shown: PublicQuote | undefined
  /** False while what is shown is the quote of earlier settings, or could not be asked for again. */
  isCurrent: boolean
  error: Error | null
}

/**
 * Follows the settings with a quote, one call at a time; with `wantsTiers` also with each tier's price.
 * Nothing is asked until it is known what the model makes of them.
 */
export function useLiveQuote(
  { settings, choice }: { settings: GenerationSettings; choice: Choice | null },
  { wantsTiers, isKnown }: { wantsTiers: boolean; isKnown: boolean },
) {
  const text = JSON.stringify(videoRequest({ prompt: ANY_PROMPT }, { ...settings, seed: '' }, choice))
  const restedText = useRested(text)
  const request: VideoRequest = JSON.parse(restedText)
  const mayWrite = useMayWrite()
  const quote = useQuote(request, { wanted: mayWrite && isKnown })
  const tiers = useTierPrices(request, { wanted: mayWrite && isKnown && wantsTiers })
  const live: LiveQuote = {
    shown: quote.data,
    isCurrent: text === restedText && !quote.isPlaceholderData && quote.error === null,
    error: quote.error,
  }
  return { quote: live, tierPrices: tiers.data, mayWrite }
}

/** The value once it has not changed for a moment. */
function useRested(value: string): string {
  const [rested, setRested] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), REST_MS)
    return () => clearTimeout(timer)
  }, [value])
  return rested
}
