import './prompt-box.css'
import { type FormEvent, useId } from 'react'
import { faultWords } from '../api/fault-words.ts'
import { FieldFault } from './field-fault.tsx'
import { ImageButton } from './image-button.tsx'
import { ImagePreview } from './image-preview.tsx'
import { OptionsButton } from './options-button.tsx'
import { PromptText } from './prompt-text.tsx'
import { QuoteLine } from './quote-line.tsx'
import { SettingsPanel } from './settings-panel.tsx'
import { ShapePicker } from './shape-picker.tsx'
import { useImageDrop } from './use-image-drop.ts'
import { type Prompt, usePromptForm } from './use-prompt-form.ts'

/** Everything of a submission: the prompt, an image, the settings, the quote, and one button. */
export function PromptBox({ prompt }: { prompt: Prompt }) {
  const id = useId()
  const form = usePromptForm(prompt)
  const { image, settings, faults, chosen } = form
  const choice = chosen?.choice ?? null
  const takeImage = (file: File) => void form.takeImage(file)
  const drop = useImageDrop({
    onImage: takeImage,
    onOtherFile: () => faults.show({ param: 'input_reference', message: 'That is no image.' }),
  })

  function onSubmit(event: FormEvent) {
    event.preventDefault()
    form.submit()
  }

  return (
    <form
      className={drop.isOver ? 'prompt-box dropping' : 'prompt-box'}
      noValidate
      onSubmit={onSubmit}
      {...drop.handlers}
    >
      <PromptText
        id={id}
        textarea={form.textarea}
        text={prompt.text}
        fault={faults.at('prompt')}
        onChange={form.changePrompt}
        onSubmit={form.submit}
      />
      {image === null ? null : <ImagePreview image={image} onRemove={form.removeImage} />}
      <FieldFault id={`${id}-image-fault`} text={faults.at('image') ?? unusedImage(form)} />
      <div className="prompt-box-row">
        {choice?.takesImage !== false && <ImageButton onFile={takeImage} />}
        {choice !== null && <ShapePicker settings={settings} choice={choice} onChange={form.setSettings} />}
        <OptionsButton
          settings={settings}
          choice={choice}
          panelId={`${id}-panel`}
          isOpen={faults.isPanelOpen}
          onToggle={faults.togglePanel}
        />
        <SubmitButton form={form} />
      </div>
      <FieldFault id={`${id}-size-fault`} text={faults.at('size')} />
      <SettingsPanel
        id={`${id}-panel`}
        isOpen={faults.isPanelOpen}
        models={form.models}
        chosen={chosen}
        settings={settings}
        tierPrices={form.tierPrices}
        faultAt={faults.at}
        onChange={form.changeSettings}
      />
      {faults.isPanelOpen && form.modelsError !== null && (
        <p className="fault" role="alert">
          The models could not be read. {faultWords(form.modelsError)}
        </p>
      )}
      <FieldFault id={`${id}-fault`} text={faults.at('form')} />
      {form.isAnswerLate && (
        <p className="fault" role="status">
          The service does not answer yet. The page asks it again every two seconds; nothing is made twice.
        </p>
      )}
    </form>
  )
}

/** A sentence about an image that the chosen model cannot begin with; null when it can, or there is none. */
function unusedImage({ image, chosen }: ReturnType<typeof usePromptForm>): string | null {
  if (image === null || chosen === null || chosen.choice.takesImage) return null
  return `${chosen.model.id} makes videos from a sentence alone: the image is not used.`
}

function SubmitButton({ form }: { form: ReturnType<typeof usePromptForm> }) {
  const { quote, mayWrite, isSending, isUnanswered } = form
  return (
    <span className="prompt-box-end">
      <QuoteLine quote={quote} mayWrite={mayWrite} />
      <button type="submit" className="main-button" aria-disabled={isSending || !mayWrite}>
        {isSending ? 'Sending…' : isUnanswered ? 'Try now' : 'Make video'}
      </button>
    </span>
  )
}
