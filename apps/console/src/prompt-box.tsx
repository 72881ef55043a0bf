import './prompt-box.css'
import {
  type ClipboardEvent,
  type DragEvent,
  type FormEvent,
  type KeyboardEvent,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from 'react'
import { ApiError } from './api-client.ts'
import { type ChosenImage, ImageFault, imageIn, readImage } from './chosen-image.ts'
import { FieldFault } from './field-fault.tsx'
import { chosenTokens, DEFAULT_SETTINGS, seedFault, shapedLike, videoRequest } from './generation-settings.ts'
import { ImageButton } from './image-button.tsx'
import { ImagePreview } from './image-preview.tsx'
import { chosenModel, offeredModels, settingsFor } from './model.ts'
import { SettingsPanel } from './settings-panel.tsx'
import { ShapePicker } from './shape-picker.tsx'
import { clipText } from './time-text.ts'
import { newIdempotencyKey, useCreateVideo, useModels } from './video-queries.ts'

interface Fault {
  param: string | null
  message: string
}

/** Fields the options hold, so that a fault in one of them opens the options. */
const OPTION_PARAMS = ['num_frames', 'seconds', 'num_steps', 'seed']

/** The box: a sentence, a few options, the token count, and one button. Enter submits, Shift+Enter breaks the line. */
export function PromptBox({
  prompt,
  onPromptChange,
}: {
  prompt: string
  onPromptChange: (prompt: string) => void
}) {
  const [wished, setSettings] = useState(DEFAULT_SETTINGS)
  const [open, setOpen] = useState(false)
  const [image, setImage] = useState<ChosenImage | null>(null)
  const [dropping, setDropping] = useState(false)
  const [fault, setFault] = useState<Fault | null>(null)
  const create = useCreateVideo()
  const models = offeredModels(useModels().data ?? [])
  const model = chosenModel(models, wished)
  const settings = model === undefined ? { ...wished, model: null } : settingsFor(wished, model)
  const textarea = useRef<HTMLTextAreaElement>(null)
  const id = useId()

  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is what decides the height
  useLayoutEffect(() => {
    const box = textarea.current
    if (box === null) return
    box.style.height = 'auto'
    box.style.height = `${box.scrollHeight}px`
  }, [prompt])

  const panelParams = models.length === 0 ? OPTION_PARAMS : ['model', ...OPTION_PARAMS]

  function refuse(next: Fault) {
    setFault(next)
    if (next.param !== null && panelParams.includes(next.param)) setOpen(true)
    if (next.param === 'prompt') textarea.current?.focus()
  }

  async function take(file: File) {
    try {
      const next = await readImage(file)
      setImage(next)
      setSettings((current) => shapedLike(current, next))
      setFault((current) => (current?.param === 'input_reference' ? null : current))
      textarea.current?.focus()
    } catch (error) {
      if (!(error instanceof ImageFault)) throw error
      refuse({ param: 'input_reference', message: error.message })
    }
  }

  function onPaste(event: ClipboardEvent) {
    const file = imageIn(event.clipboardData)
    if (file === null) return
    event.preventDefault()
    void take(file)
  }

  function onDrop(event: DragEvent) {
    event.preventDefault()
    setDropping(false)
    const file = imageIn(event.dataTransfer)
    if (file === null) refuse({ param: 'input_reference', message: 'That is no image.' })
    else void take(file)
  }

  /** Text that is dragged into the box stays the browser's business. */
  function onDragOver(event: DragEvent) {
    if (!event.dataTransfer.types.includes('Files')) return
    event.preventDefault()
    setDropping(true)
  }

  function submit() {
    if (create.isPending) return
    if (prompt.trim() === '') return refuse({ param: 'prompt', message: 'Write a sentence first.' })
    const seed = seedFault(settings.seed)
    if (seed !== null) return refuse({ param: 'seed', message: seed })
    setFault(null)
    create.mutate(
      { request: videoRequest(prompt.trim(), settings, image?.dataUrl), idempotencyKey: newIdempotencyKey() },
      {
        onSuccess: () => {
          onPromptChange('')
          setImage(null)
          textarea.current?.focus()
        },
        onError: (error) =>
          refuse({ param: error instanceof ApiError ? error.param : null, message: error.message }),
      },
    )
  }

  function onKeyDown(event: KeyboardEvent) {
    // Enter that ends a composition (Chinese, Japanese, Korean input) belongs to the input method.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    submit()
  }

  const faultOf = (...params: string[]) =>
    fault?.param != null && params.includes(fault.param) ? fault.message : null
  const general =
    fault !== null && !['prompt', 'size', 'input_reference', ...panelParams].includes(fault.param ?? '')
      ? fault.message
      : null

  return (
    <form
      className={dropping ? 'prompt-box dropping' : 'prompt-box'}
      noValidate
      onPaste={onPaste}
      onDragOver={onDragOver}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setDropping(false)
      }}
      onDrop={(event) => {
        if (event.dataTransfer.types.includes('Files')) onDrop(event)
      }}
      onSubmit={(event: FormEvent) => {
        event.preventDefault()
        submit()
      }}
    >
      <label htmlFor={id} className="unseen">
        What the video shows
      </label>
      <textarea
        id={id}
        ref={textarea}
        rows={2}
        value={prompt}
        placeholder="A paper boat in the rain…"
        onChange={(event) => {
          onPromptChange(event.target.value)
          if (fault?.param === 'prompt') setFault(null)
        }}
        onKeyDown={onKeyDown}
        aria-invalid={faultOf('prompt') !== null}
        aria-describedby={`${id}-prompt-fault ${id}-hint`}
        // biome-ignore lint/a11y/noAutofocus: the box is what the page is for
        autoFocus
      />
      <span id={`${id}-hint`} className="unseen">
        Enter submits, Shift and Enter starts a new line.
      </span>
      <FieldFault id={`${id}-prompt-fault`} text={faultOf('prompt')} />

      {image === null ? null : (
        <ImagePreview
          image={image}
          onRemove={() => {
            setImage(null)
            textarea.current?.focus()
          }}
        />
      )}
      <FieldFault id={`${id}-image-fault`} text={faultOf('input_reference')} />

      <div className="prompt-box-row">
        <ImageButton onFile={(file) => void take(file)} />
        <ShapePicker settings={settings} onChange={setSettings} />
        <button
          type="button"
          className="options-button"
          aria-expanded={open}
          aria-controls={`${id}-panel`}
          aria-label={`Options: ${settings.resolution}, ${clipText(settings.frames / 24)}, ${settings.steps} steps`}
          onClick={() => setOpen(!open)}
        >
          <span className="figures">
            {settings.resolution} · {clipText(settings.frames / 24)} · {settings.steps} steps
          </span>
          <svg viewBox="0 0 12 12" width="10" height="10" aria-hidden="true">
            <path
              d="m2.5 4.5 3.5 3.5 3.5-3.5"
              fill="none"
              stroke="currentColor"
              strokeWidth="1.5"
              strokeLinecap="round"
              strokeLinejoin="round"
            />
          </svg>
        </button>
        <span className="prompt-box-end">
          <output
            className="tokens figures"
            title="Generated tokens: what the GPU makes, and what is charged"
          >
            {chosenTokens(settings).toLocaleString('en')} <span>tokens</span>
          </output>
          <button type="submit" className="main-button" aria-disabled={create.isPending}>
            {create.isPending ? 'Sending…' : 'Make video'}
          </button>
        </span>
      </div>
      <FieldFault id={`${id}-size-fault`} text={faultOf('size')} />
      <SettingsPanel
        id={`${id}-panel`}
        open={open}
        settings={settings}
        onChange={(next) => {
          setSettings(next)
          if (fault?.param != null && panelParams.includes(fault.param)) setFault(null)
        }}
        models={models}
        modelFault={faultOf('model')}
        framesFault={faultOf('num_frames', 'seconds')}
        stepsFault={faultOf('num_steps')}
        seedFault={faultOf('seed')}
      />
      <FieldFault id={`${id}-fault`} text={general} />
    </form>
  )
}
