import { clipText } from '../text/time-text.ts'
import { type GenerationSettings, LIMITS } from './generation-settings.ts'

interface OptionsButtonProps {
  settings: GenerationSettings
  panelId: string
  isOpen: boolean
  onToggle: () => void
}

/** Shows resolution, length and steps, and opens the panel in which they are set. */
export function OptionsButton({ settings, panelId, isOpen, onToggle }: OptionsButtonProps) {
  const { resolution, steps } = settings
  const length = clipText(settings.frames / LIMITS.fps)
  return (
    <button
      type="button"
      className="options-button"
      aria-expanded={isOpen}
      aria-controls={panelId}
      aria-label={`Options: ${resolution}, ${length}, ${steps} steps`}
      onClick={onToggle}
    >
      <span className="figures">
        {resolution} · {length} · {steps} steps
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
  )
}
