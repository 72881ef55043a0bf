import './settings-panel.css'
import { formatSeconds } from '@sluice/shared/model-catalogue'
import { useId } from 'react'
import { FieldFault } from './field-fault.tsx'
import { chosenSize, type GenerationSettings, LIMITS } from './generation-settings.ts'
import { chosenModel, type Model, resolutionsFor, settingsFor } from './model.ts'

interface SettingsPanelProps {
  id: string
  open: boolean
  settings: GenerationSettings
  onChange: (next: GenerationSettings) => void
  /** What there is to choose from; empty = nothing. */
  models: readonly Model[]
  modelFault: string | null
  framesFault: string | null
  stepsFault: string | null
  seedFault: string | null
}

/** Model, resolution, length, steps and seed: out of the way until asked for. */
export function SettingsPanel(props: SettingsPanelProps) {
  const { id, open, settings, onChange, models, modelFault, framesFault, stepsFault, seedFault } = props
  const field = useId()
  const size = chosenSize(settings)
  const chosen = chosenModel(models, settings)
  return (
    <div id={id} className="settings-panel" hidden={!open}>
      {models.length === 0 ? null : (
        <div className="setting">
          <label htmlFor={`${field}-model`}>Model</label>
          <select
            id={`${field}-model`}
            className="field"
            value={chosen?.id}
            onChange={(event) => {
              const next = models.find((model) => model.id === event.target.value)
              if (next !== undefined) onChange(settingsFor(settings, next))
            }}
            aria-describedby={`${field}-model-fault`}
          >
            {models.map((model) => (
              <option key={model.id} value={model.id}>
                {model.id}
              </option>
            ))}
          </select>
          <p className="setting-note">{chosen?.description}</p>
          <FieldFault id={`${field}-model-fault`} text={modelFault} />
        </div>
      )}

      <fieldset className="setting">
        <legend>Resolution</legend>
        <div className="segments">
          {resolutionsFor(chosen).map((resolution) => (
            <label key={resolution}>
              <input
                type="radio"
                name={`${field}-resolution`}
                className="unseen"
                checked={settings.resolution === resolution}
                onChange={() => onChange({ ...settings, resolution })}
              />
              <span>{resolution}</span>
            </label>
          ))}
        </div>
        <p className="setting-note figures">
          {size.width} × {size.height}
        </p>
      </fieldset>

      <div className="setting">
        <label htmlFor={`${field}-frames`}>Length</label>
        <input
          id={`${field}-frames`}
          type="range"
          min={LIMITS.framesMin}
          max={LIMITS.framesMax}
          step={4}
          value={settings.frames}
          onChange={(event) => onChange({ ...settings, frames: event.target.valueAsNumber })}
          aria-valuetext={`${settings.frames} frames, ${formatSeconds(settings.frames, LIMITS.fps)} seconds`}
          aria-describedby={`${field}-frames-fault`}
        />
        <p className="setting-note figures">
          {settings.frames} {settings.frames === 1 ? 'frame' : 'frames'} ·{' '}
          {Number((settings.frames / LIMITS.fps).toFixed(3))} s
        </p>
        <FieldFault id={`${field}-frames-fault`} text={framesFault} />
      </div>

      <div className="setting">
        <label htmlFor={`${field}-steps`}>Steps</label>
        <input
          id={`${field}-steps`}
          type="range"
          min={LIMITS.stepsMin}
          max={LIMITS.stepsMax}
          value={settings.steps}
          onChange={(event) => onChange({ ...settings, steps: event.target.valueAsNumber })}
          aria-describedby={`${field}-steps-fault`}
        />
        <p className="setting-note figures">
          {settings.steps} {settings.steps === 1 ? 'step' : 'steps'}
        </p>
        <FieldFault id={`${field}-steps-fault`} text={stepsFault} />
      </div>

      <div className="setting">
        <label htmlFor={`${field}-seed`}>Seed</label>
        <input
          id={`${field}-seed`}
          className="field figures"
          inputMode="numeric"
          autoComplete="off"
          placeholder="any"
          value={settings.seed}
          onChange={(event) => onChange({ ...settings, seed: event.target.value })}
          aria-invalid={seedFault !== null}
          aria-describedby={`${field}-seed-fault`}
        />
        <FieldFault id={`${field}-seed-fault`} text={seedFault} />
      </div>
    </div>
  )
}
