import { clipText } from '../text/time-text.ts'
import { DEFAULT_SETTINGS, type GenerationSettings, LIMITS } from './generation-settings.ts'

interface OptionsButtonProps {
  settings: GenerationSettings
  panelId: string
  isOpen: boolean
  onToggle: () => void
}

/** Shows resolution, length and steps, and opens the panel in which they are set. */
export function OptionsButton({ settings, panelId, isOpen, onToggle }: OptionsButtonProps) {
  const { resolution, steps, tier } = settings
  const length = clipText(settings.frames / LIMITS.fps)
  const facts = [resolution, length, `${steps} steps`, ...(tier === DEFAULT_SETTINGS.tier ? [] : [tier])]
  return (
    <button
      type="button"
      className="options-button"
      aria-expanded={isOpen}
      aria-controls={panelId}
      aria-label={`Options: ${facts.join(', ')}`}
      onClick={onToggle}
    >
      <span className="figures">{facts.join(' · ')}</span>
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
