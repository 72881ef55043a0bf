import { type KeyboardEvent, type RefObject, useLayoutEffect } from 'react'
import { FieldFault } from './field-fault.tsx'

interface PromptTextProps {
  id: string
  textarea: RefObject<HTMLTextAreaElement | null>
  text: string
  fault: string | null
  onChange: (text: string) => void
  onSubmit: () => void
}

/** On a touch screen Return is the only way to a new line, and the button is near. */
const ENTER_SUBMITS = !window.matchMedia('(pointer: coarse)').matches

/** The text field, as high as its text. With a keyboard Enter submits, and Shift+Enter breaks the line. */
export function PromptText({ id, textarea, text, fault, onChange, onSubmit }: PromptTextProps) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is what decides the height
  useLayoutEffect(() => {
    const box = textarea.current
    if (box === null) return
    box.style.height = 'auto'
    box.style.height = `${box.scrollHeight}px`
  }, [text])

  function onKeyDown(event: KeyboardEvent) {
    // Enter that ends a composition (Chinese, Japanese, Korean input) belongs to the input method.
    if (
      !ENTER_SUBMITS ||
      event.key !== 'Enter' ||
      event.shiftKey ||
      event.repeat ||
      event.nativeEvent.isComposing
    )
      return
    event.preventDefault()
    onSubmit()
  }

  return (
    <>
      <label htmlFor={id} className="unseen">
        What the video shows
      </label>
      <textarea
        id={id}
        ref={textarea}
        rows={2}
        value={text}
        placeholder="A paper boat in the rain…"
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={onKeyDown}
        aria-invalid={fault !== null}
        aria-describedby={`${id}-prompt-fault ${id}-hint`}
        // biome-ignore lint/a11y/noAutofocus: the box is what the page is for
        autoFocus={ENTER_SUBMITS}
      />
      <span id={`${id}-hint`} className="unseen">
        {ENTER_SUBMITS
          ? 'Enter submits, Shift and Enter starts a new line.'
          : 'Return starts a new line; the button below submits.'}
      </span>
      <FieldFault id={`${id}-prompt-fault`} text={fault} />
    </>
  )
}
