import { clipText } from '../text/time-text.ts'
import type { Choice } from './choice.ts'
import { DEFAULT_SETTINGS, type GenerationSettings } from './generation-settings.ts'

interface OptionsButtonProps {
  settings: GenerationSettings
  /** Null while the models are not known. */
  choice: Choice | null
  panelId: string
  isOpen: boolean
  onToggle: () => void
}

/** Shows resolution, length and steps, and opens the panel in which they are set. */
export function OptionsButton({ settings, choice, panelId, isOpen, onToggle }: OptionsButtonProps) {
  const { tier } = settings
  const facts = [
    ...(choice === null ? [] : [choice.resolution, clipText(choice.seconds), stepsText(choice.steps)]),
    ...(tier === DEFAULT_SETTINGS.tier ? [] : [tier]),
  ]
  const label = facts.length === 0 ? 'Options' : `Options: ${facts.join(', ')}`
  return (
    <button
      type="button"
      className="options-button"
      aria-expanded={isOpen}
      aria-controls={panelId}
      aria-label={label}
      onClick={onToggle}
    >
      <span className="figures">{facts.length === 0 ? 'Options' : facts.join(' · ')}</span>
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

function stepsText(steps: number): string {
  return `${steps} ${steps === 1 ? 'step' : 'steps'}`
}
