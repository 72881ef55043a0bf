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

/** The text field, as high as its text. Enter submits, Shift+Enter breaks the line. */
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
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
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
        autoFocus
      />
      <span id={`${id}-hint`} className="unseen">
        Enter submits, Shift and Enter starts a new line.
      </span>
      <FieldFault id={`${id}-prompt-fault`} text={fault} />
    </>
  )
}
