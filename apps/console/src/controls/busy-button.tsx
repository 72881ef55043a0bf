import type { ReactNode } from 'react'

interface BusyButtonProps {
  title?: string
  /** A class beside that of every quiet button. */
  kind?: string
  /** While busy it does nothing, but keeps the focus. */
  isBusy: boolean
  onPress: () => void
  children: ReactNode
}

/** A quiet button that does one thing at a time. */
export function BusyButton({ title, kind, isBusy, onPress, children }: BusyButtonProps) {
  return (
    <button
      type="button"
      className={kind === undefined ? 'quiet-button' : `quiet-button ${kind}`}
      title={title}
      aria-disabled={isBusy}
      onClick={() => isBusy || onPress()}
    >
      {children}
    </button>
  )
}
