import './shape-picker.css'
import { formatSize } from '@sluice/shared/models/sizes'
import { useId } from 'react'
import { chosenSize, type GenerationSettings, SHAPES } from './generation-settings.ts'

/** The longer side of a shape's outline, in pixels. */
const OUTLINE_LENGTH = 18

/** The shapes as small outlines, and a button that switches between landscape and portrait. */
export function ShapePicker({
  settings,
  onChange,
}: {
  settings: GenerationSettings
  onChange: (next: GenerationSettings) => void
}) {
  const group = useId()
  const turned = settings.orientation === 'portrait'
  return (
    <fieldset className="shape-picker">
      <legend className="unseen">Shape</legend>
      {SHAPES.map((shape) => {
        const size = chosenSize({ ...settings, shape: shape.name })
        const scale = OUTLINE_LENGTH / Math.max(size.width, size.height)
        const name = turned ? shape.name.split(':').reverse().join(':') : shape.name
        return (
          <label key={shape.name} className="shape" title={`${name}, ${formatSize(size)}`}>
            <input
              type="radio"
              name={group}
              className="unseen"
              aria-label={`${name}, ${size.width} by ${size.height} pixels`}
              checked={settings.shape === shape.name}
              onChange={() => onChange({ ...settings, shape: shape.name })}
            />
            <span className="outline">
              <i style={{ width: Math.round(size.width * scale), height: Math.round(size.height * scale) }} />
            </span>
            <small>{name}</small>
          </label>
        )
      })}
      <button
        type="button"
        className="shape turn"
        aria-pressed={turned}
        aria-label="Portrait"
        title={turned ? 'Turn to landscape' : 'Turn to portrait'}
        onClick={() => onChange({ ...settings, orientation: turned ? 'landscape' : 'portrait' })}
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
    </fieldset>
  )
}
