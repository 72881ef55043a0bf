import type { PublicModel } from '@sluice/shared/public-model'
import { type Dispatch, type RefObject, type SetStateAction, useEffect, useRef, useState } from 'react'
import { keepSettings, readKeptSettings } from '../account/draft-store.ts'
import { ApiError, UnreachableError } from '../api/api-client.ts'
import { faultWords } from '../api/fault-words.ts'
import { newIdempotencyKey, useModels, useSubmit } from '../api/queries.ts'
import type { VideoRequest } from '../api/video.ts'
import { choiceOf, shapedLike } from './choice.ts'
import { type ChosenImage, ImageFault, readImage } from './chosen-image.ts'
import { isInSettings } from './fault.ts'
import { type GenerationSettings, seedFault } from './generation-settings.ts'
import { settingsOf } from './kept-settings.ts'
import { chosenModel, offeredModels, settingsFor } from './model-choice.ts'
import { useFault } from './use-fault.ts'
import { useLiveQuote } from './use-live-quote.ts'
import { videoRequest } from './video-request.ts'

/** The prompt, which the examples of the page set as well. */
export interface Prompt {
  text: string
  setText: (text: string) => void
}

/** The state of the prompt box: settings, image and fault, and the one way to submit them. */
export function usePromptForm(prompt: Prompt) {
  const textarea = useRef<HTMLTextAreaElement>(null)
  const { models, isKnown, modelsError, chosen, settings, setSettings } = useSettings()
  const choice = chosen?.choice ?? null
  const faults = useFault({ textarea, hasModelField: models.length > 1 })
  const { image, takeImage, removeImage } = useImage({ textarea, faults, setSettings, model: chosen?.model })
  const create = useSubmit()
  const keyOf = useSubmissionKey()
  const wanted = { wantsTiers: faults.isPanelOpen, isKnown }
  const { quote, tierPrices, mayWrite } = useLiveQuote({ settings, choice }, wanted)

  function changePrompt(text: string) {
    prompt.setText(text)
    faults.clear((place) => place === 'prompt')
  }

  function changeSettings(next: GenerationSettings) {
    setSettings(next)
    faults.clear(isInSettings)
  }

  function submit() {
    if (create.isPending || !mayWrite) return
    const text = prompt.text.trim()
    if (text === '') return faults.show({ param: 'prompt', message: 'Write a sentence first.' })
    const seed = seedFault(settings.seed)
    if (seed !== null) return faults.show({ param: 'seed', message: seed })
    faults.clear()
    faults.closePanel()
    const request = videoRequest({ prompt: text, imageUrl: image?.dataUrl }, settings, choice)
    create.mutate(
      { request, idempotencyKey: keyOf.request(request) },
      {
        onSuccess: () => {
          keyOf.answered()
          prompt.setText('')
          removeImage()
        },
        onError: (error) => {
          if (error instanceof ApiError) keyOf.answered()
          faults.show({ param: error instanceof ApiError ? error.param : null, message: submitFault(error) })
        },
      },
    )
  }

  return {
    textarea,
    image,
    models,
    modelsError,
    chosen,
    settings,
    faults,
    isSending: create.isPending,
    isAnswerLate: create.isPending && create.failureCount > 0,
    isUnanswered: create.error instanceof UnreachableError,
    quote,
    tierPrices,
    mayWrite,
    setSettings,
    changePrompt,
    changeSettings,
    takeImage,
    removeImage,
    submit,
  }
}

/** A request that nothing answered keeps its key: should it have arrived, it makes no second video. */
function useSubmissionKey() {
  const unanswered = useRef<{ text: string; idempotencyKey: string } | null>(null)
  return {
    request: (request: VideoRequest): string => {
      const text = JSON.stringify(request)
      if (unanswered.current?.text !== text)
        unanswered.current = { text, idempotencyKey: newIdempotencyKey() }
      return unanswered.current.idempotencyKey
    },
    answered: () => {
      unanswered.current = null
    },
  }
}

function submitFault(error: Error): string {
  if (error instanceof UnreachableError)
    return 'The service does not answer, and the page has stopped asking. Your sentence is kept; sent again as it is, it never becomes two videos.'
  return faultWords(error)
}

/** The chosen settings, and what the chosen one of the models that are offered now makes of them. */
function useSettings() {
  const [wished, setSettings] = useState(() => settingsOf(readKeptSettings()))
  useEffect(() => keepSettings(wished), [wished])
  const query = useModels()
  const models = offeredModels(query.data ?? [])
  const model = chosenModel(models, wished)
  const settings = model === undefined ? { ...wished, model: null } : settingsFor(wished, model)
  const choice = model === undefined ? null : choiceOf(settings, model)
  const modelsError = query.data === undefined ? query.error : null
  return {
    models,
    // Without an answer the service's default is asked for.
    isKnown: query.data !== undefined || modelsError !== null,
    modelsError,
    chosen: model === undefined || choice === null ? null : { model, choice },
    settings,
    setSettings,
  }
}

interface ImageDeps {
  textarea: RefObject<HTMLTextAreaElement | null>
  faults: ReturnType<typeof useFault>
  setSettings: Dispatch<SetStateAction<GenerationSettings>>
  model: PublicModel | undefined
}

/** The chosen image. It gives the settings its shape, once: when it is there and the models are known. */
function useImage({ textarea, faults, setSettings, model }: ImageDeps) {
  const [image, setImage] = useState<ChosenImage | null>(null)
  const shapedBy = useRef<ChosenImage | null>(null)

  useEffect(() => {
    if (image === null || model === undefined || shapedBy.current === image) return
    shapedBy.current = image
    setSettings((current) => shapedLike(current, model, image))
  }, [image, model, setSettings])

  /** Never rejects. */
  async function takeImage(file: File) {
    try {
      const next = await readImage(file)
      setImage(next)
      faults.clear((place) => place === 'image')
      textarea.current?.focus()
    } catch (error) {
      if (error instanceof ImageFault) faults.show({ param: 'input_reference', message: error.message })
      else reportError(error)
    }
  }

  function removeImage() {
    setImage(null)
    textarea.current?.focus()
  }

  return { image, takeImage, removeImage }
}
