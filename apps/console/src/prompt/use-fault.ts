import { type RefObject, useState } from 'react'
import { type Fault, type FaultPlace, faultPlace, isInSettings } from './fault.ts'

interface FaultDeps {
  textarea: RefObject<HTMLTextAreaElement | null>
  hasModelField: boolean
}

/** The fault that the form shows, and whether the settings panel is open: a fault in there opens it. */
export function useFault({ textarea, hasModelField }: FaultDeps) {
  const [fault, setFault] = useState<Fault | null>(null)
  const [isPanelOpen, setIsPanelOpen] = useState(false)
  const placeOf = (shown: Fault) => faultPlace(shown, { hasModelField })

  function show(next: Fault) {
    setFault(next)
    const place = placeOf(next)
    if (isInSettings(place)) setIsPanelOpen(true)
    if (place === 'prompt') textarea.current?.focus()
  }

  /** Hides the fault, if its place is one of those to clear. */
  function clear(isCleared: (place: FaultPlace) => boolean = () => true) {
    setFault((current) => (current !== null && isCleared(placeOf(current)) ? null : current))
  }

  /** The message to show at that place, or null. */
  function at(place: FaultPlace): string | null {
    return fault !== null && placeOf(fault) === place ? fault.message : null
  }

  return {
    show,
    clear,
    at,
    isPanelOpen,
    togglePanel: () => setIsPanelOpen(!isPanelOpen),
    closePanel: () => setIsPanelOpen(false),
  }
}
