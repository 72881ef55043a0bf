import './prompt-box.css'
import { type FormEvent, useId } from 'react'
import { FieldFault } from './field-fault.tsx'
import { chosenTokens } from './generation-settings.ts'
import { ImageButton } from './image-button.tsx'
import { ImagePreview } from './image-preview.tsx'
import { OptionsButton } from './options-button.tsx'
import { PromptText } from './prompt-text.tsx'
import { SettingsPanel } from './settings-panel.tsx'
import { ShapePicker } from './shape-picker.tsx'
import { useImageDrop } from './use-image-drop.ts'
import { type Prompt, usePromptForm } from './use-prompt-form.ts'

/** Everything of a submission: the prompt, an image, the settings, the token count, and one button. */
export function PromptBox({ prompt }: { prompt: Prompt }) {
  const id = useId()
  const form = usePromptForm(prompt)
  const { image, settings, faults } = form
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
      <FieldFault id={`${id}-image-fault`} text={faults.at('image')} />
      <div className="prompt-box-row">
        <ImageButton onFile={takeImage} />
        <ShapePicker settings={settings} onChange={form.setSettings} />
        <OptionsButton
          settings={settings}
          panelId={`${id}-panel`}
          isOpen={faults.isPanelOpen}
          onToggle={faults.togglePanel}
        />
        <SubmitButton tokens={chosenTokens(settings)} isSending={form.isSending} />
      </div>
      <FieldFault id={`${id}-size-fault`} text={faults.at('size')} />
      <SettingsPanel
        id={`${id}-panel`}
        isOpen={faults.isPanelOpen}
        models={form.models}
        settings={settings}
        faultAt={faults.at}
        onChange={form.changeSettings}
      />
      <FieldFault id={`${id}-fault`} text={faults.at('form')} />
    </form>
  )
}

function SubmitButton({ tokens, isSending }: { tokens: bigint; isSending: boolean }) {
  return (
    <span className="prompt-box-end">
      <output className="tokens figures" title="Generated tokens: what the GPU makes, and what is charged">
        {tokens.toLocaleString('en')} <span>tokens</span>
      </output>
      <button type="submit" className="main-button" aria-disabled={isSending}>
        {isSending ? 'Sending…' : 'Make video'}
      </button>
    </span>
  )
}
