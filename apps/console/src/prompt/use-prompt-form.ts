import { type Dispatch, type RefObject, type SetStateAction, useRef, useState } from 'react'
import { ApiError } from '../api/api-client.ts'
import { newIdempotencyKey, useCreateVideo, useModels } from '../api/queries.ts'
import { type ChosenImage, ImageFault, readImage } from './chosen-image.ts'
import { isInSettings } from './fault.ts'
import {
  DEFAULT_SETTINGS,
  type GenerationSettings,
  seedFault,
  shapedLike,
  videoRequest,
} from './generation-settings.ts'
import { chosenModel, offeredModels, settingsFor } from './model-choice.ts'
import { useFault } from './use-fault.ts'

/** The prompt, which the examples of the page set as well. */
export interface Prompt {
  text: string
  setText: (text: string) => void
}

/** The state of the prompt box: settings, image and fault, and the one way to submit them. */
export function usePromptForm(prompt: Prompt) {
  const textarea = useRef<HTMLTextAreaElement>(null)
  const { models, settings, setSettings } = useSettings()
  const faults = useFault({ textarea, hasModelField: models.length > 0 })
  const { image, takeImage, removeImage } = useImage({ textarea, faults, setSettings })
  const create = useCreateVideo()

  function changePrompt(text: string) {
    prompt.setText(text)
    faults.clear((place) => place === 'prompt')
  }

  function changeSettings(next: GenerationSettings) {
    setSettings(next)
    faults.clear(isInSettings)
  }

  function submit() {
    if (create.isPending) return
    const text = prompt.text.trim()
    if (text === '') return faults.show({ param: 'prompt', message: 'Write a sentence first.' })
    const seed = seedFault(settings.seed)
    if (seed !== null) return faults.show({ param: 'seed', message: seed })
    faults.clear()
    create.mutate(
      { request: videoRequest(text, settings, image?.dataUrl), idempotencyKey: newIdempotencyKey() },
      {
        onSuccess: () => {
          prompt.setText('')
          removeImage()
        },
        onError: (error) =>
          faults.show({ param: error instanceof ApiError ? error.param : null, message: error.message }),
      },
    )
  }

  return {
    textarea,
    image,
    models,
    settings,
    faults,
    isSending: create.isPending,
    setSettings,
    changePrompt,
    changeSettings,
    takeImage,
    removeImage,
    submit,
  }
}

/** The chosen settings, adapted to the models that are offered now. */
function useSettings() {
  const [chosen, setSettings] = useState(DEFAULT_SETTINGS)
  const models = offeredModels(useModels().data ?? [])
  const model = chosenModel(models, chosen)
  const settings = model === undefined ? { ...chosen, model: null } : settingsFor(chosen, model)
  return { models, settings, setSettings }
}

interface ImageDeps {
  textarea: RefObject<HTMLTextAreaElement | null>
  faults: ReturnType<typeof useFault>
  setSettings: Dispatch<SetStateAction<GenerationSettings>>
}

/** The chosen image. Taking one gives the settings its shape. */
function useImage({ textarea, faults, setSettings }: ImageDeps) {
  const [image, setImage] = useState<ChosenImage | null>(null)

  /** Never rejects. */
  async function takeImage(file: File) {
    try {
      const next = await readImage(file)
      setImage(next)
      setSettings((current) => shapedLike(current, next))
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
