import { type ClipboardEvent, type DragEvent, useState } from 'react'
import { imageIn } from './chosen-image.ts'

/** Lets an image be dropped on an element or pasted into it; `isOver` while files are dragged over it. */
export function useImageDrop({
  onImage,
  onOtherFile,
}: {
  onImage: (file: File) => void
  onOtherFile: () => void
}) {
  const [isOver, setIsOver] = useState(false)

  function onPaste(event: ClipboardEvent) {
    const file = imageIn(event.clipboardData)
    if (file === null) return
    event.preventDefault()
    onImage(file)
  }

  function onDragOver(event: DragEvent) {
    if (!holdsFiles(event)) return
    event.preventDefault()
    setIsOver(true)
  }

  function onDragLeave(event: DragEvent) {
    if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setIsOver(false)
  }

  function onDrop(event: DragEvent) {
    if (!holdsFiles(event)) return
    event.preventDefault()
    setIsOver(false)
    const file = imageIn(event.dataTransfer)
    if (file === null) onOtherFile()
    else onImage(file)
  }

  return { isOver, handlers: { onPaste, onDragOver, onDragLeave, onDrop } }
}

/** Text that is dragged into the prompt is left to the browser. */
function holdsFiles(event: DragEvent): boolean {
  return event.dataTransfer.types.includes('Files')
}
