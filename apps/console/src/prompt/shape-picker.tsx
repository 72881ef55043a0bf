import './shape-picker.css'
import { useId } from 'react'
import type { Choice } from './choice.ts'
import type { GenerationSettings } from './generation-settings.ts'

/** The longer side of a shape's outline, in pixels. */
const OUTLINE_LENGTH = 18

/**
 * The shapes of the model as small outlines, and a button that switches between landscape and portrait, if
 * there are both.
 */
export function ShapePicker({
  settings,
  choice,
  onChange,
}: {
  settings: GenerationSettings
  choice: Choice
  onChange: (next: GenerationSettings) => void
}) {
  const group = useId()
  const turned = choice.orientation === 'portrait'
  return (
    <fieldset className="shape-picker">
      <legend className="unseen">Shape</legend>
      {choice.shapes.map((shape) => {
        const scale = OUTLINE_LENGTH / Math.max(shape.width, shape.height)
        const name = turned ? shape.name.split(':').reverse().join(':') : shape.name
        return (
          <label key={shape.name} className="shape" title={`${name}, ${shape.size}`}>
            <input
              type="radio"
              name={group}
              className="unseen"
              aria-label={`${name}, ${shape.width} by ${shape.height} pixels`}
              checked={choice.shape === shape.name}
              onChange={() => onChange({ ...settings, shape: shape.name })}
            />
            <span className="outline">
              <i
                style={{ width: Math.round(shape.width * scale), height: Math.round(shape.height * scale) }}
              />
            </span>
            <small>{name}</small>
          </label>
        )
      })}
      {choice.canTurn && (
        <TurnButton
          isTurned={turned}
          onTurn={() => onChange({ ...settings, orientation: turned ? 'landscape' : 'portrait' })}
        />
      )}
    </fieldset>
  )
}

function TurnButton({ isTurned, onTurn }: { isTurned: boolean; onTurn: () => void }) {
  return (
    <button
      type="button"
      className="shape turn"
      aria-pressed={isTurned}
      aria-label="Portrait"
      title={isTurned ? 'Turn to landscape' : 'Turn to portrait'}
      onClick={onTurn}
    >
      <svg
        viewBox="0 0 20 20"
        width="18"
        height="18"
        aria-hidden="true"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      >
        <path d="M15.5 9a5.8 5.8 0 1 0-1.7 5.1" />
        <path d="M15.9 5.2V9h-3.8" />
      </svg>
      <small>Turn</small>
    </button>
  )
}
