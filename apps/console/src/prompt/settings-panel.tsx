import './settings-panel.css'
import { formatSeconds } from '@sluice/shared/models/frame-rule'
import type { PublicQuote } from '@sluice/shared/public-quote'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { useId } from 'react'
import type { Model } from '../api/api-client.ts'
import { moneyText } from '../text/money-text.ts'
import type { FaultPlace } from './fault.ts'
import { FieldFault } from './field-fault.tsx'
import { chosenSize, type GenerationSettings, LIMITS } from './generation-settings.ts'
import { chosenModel, resolutionsFor, settingsFor } from './model-choice.ts'

type TierPrices = Partial<Record<ServiceTier, PublicQuote['cost']>> | undefined

interface SettingsPanelProps {
  id: string
  isOpen: boolean
  /** Empty when there is nothing to choose: then the model field is missing. */
  models: readonly Model[]
  settings: GenerationSettings
  /** What the video would cost in each tier, as far as it is known. */
  tierPrices: TierPrices
  /** What is wrong with a field, or null. */
  faultAt: (place: FaultPlace) => string | null
  onChange: (next: GenerationSettings) => void
}

/** Model, resolution, length, steps, tier and seed; hidden until the viewer opens it. */
export function SettingsPanel(props: SettingsPanelProps) {
  const { id, isOpen, models, settings, tierPrices, faultAt, onChange } = props
  const field = useId()
  const common = { settings, onChange }
  const model = chosenModel(models, settings)
  return (
    <div id={id} className="settings-panel" hidden={!isOpen}>
      {model === undefined ? null : (
        <ModelField
          id={`${field}-model`}
          models={models}
          chosen={model}
          fault={faultAt('model')}
          onChoose={(next) => onChange(settingsFor(settings, next))}
        />
      )}
      <ResolutionField {...common} id={`${field}-resolution`} model={model} />
      <LengthField {...common} id={`${field}-frames`} fault={faultAt('frames')} />
      <StepsField {...common} id={`${field}-steps`} fault={faultAt('steps')} />
      <TierField {...common} id={`${field}-tier`} prices={tierPrices} />
      <SeedField {...common} id={`${field}-seed`} fault={faultAt('seed')} />
    </div>
  )
}

interface ModelFieldProps {
  id: string
  models: readonly Model[]
  chosen: Model
  fault: string | null
  onChoose: (model: Model) => void
}

function ModelField({ id, models, chosen, fault, onChoose }: ModelFieldProps) {
  function choose(modelId: string) {
    const next = models.find((model) => model.id === modelId)
    if (next !== undefined) onChoose(next)
  }

  return (
    <div className="setting">
      <label htmlFor={id}>Model</label>
      <select
        id={id}
        className="field"
        value={chosen.id}
        onChange={(event) => choose(event.target.value)}
        aria-describedby={`${id}-fault`}
      >
        {models.map((model) => (
          <option key={model.id} value={model.id}>
            {model.id}
          </option>
        ))}
      </select>
      <p className="setting-note">{chosen.description}</p>
      <FieldFault id={`${id}-fault`} text={fault} />
    </div>
  )
}

interface FieldProps {
  id: string
  settings: GenerationSettings
  fault: string | null
  onChange: (next: GenerationSettings) => void
}

interface ResolutionFieldProps extends Omit<FieldProps, 'fault'> {
  model: Model | undefined
}

function ResolutionField({ id, settings, model, onChange }: ResolutionFieldProps) {
  const size = chosenSize(settings)
  return (
    <fieldset className="setting">
      <legend>Resolution</legend>
      <div className="segments">
        {resolutionsFor(model).map((resolution) => (
          <label key={resolution}>
            <input
              type="radio"
              name={id}
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
  )
}

function LengthField({ id, settings, fault, onChange }: FieldProps) {
  const { frames } = settings
  return (
    <div className="setting">
      <label htmlFor={id}>Length</label>
      <input
        id={id}
        type="range"
        min={LIMITS.frames.min}
        max={LIMITS.frames.max}
        step={4}
        value={frames}
        onChange={(event) => onChange({ ...settings, frames: event.target.valueAsNumber })}
        aria-valuetext={`${frames} frames, ${formatSeconds(frames, LIMITS.fps)} seconds`}
        aria-describedby={`${id}-fault`}
      />
      <p className="setting-note figures">
        {frames} {frames === 1 ? 'frame' : 'frames'} · {Number((frames / LIMITS.fps).toFixed(3))} s
      </p>
      <FieldFault id={`${id}-fault`} text={fault} />
    </div>
  )
}

function StepsField({ id, settings, fault, onChange }: FieldProps) {
  const { steps } = settings
  return (
    <div className="setting">
      <label htmlFor={id}>Steps</label>
      <input
        id={id}
        type="range"
        min={LIMITS.steps.min}
        max={LIMITS.steps.max}
        value={steps}
        onChange={(event) => onChange({ ...settings, steps: event.target.valueAsNumber })}
        aria-describedby={`${id}-fault`}
      />
      <p className="setting-note figures">
        {steps} {steps === 1 ? 'step' : 'steps'}
      </p>
      <FieldFault id={`${id}-fault`} text={fault} />
    </div>
  )
}

const TIER_NOTES: Record<ServiceTier, string> = {
  priority: 'before all others',
  standard: 'in turn',
  flex: 'when there is room',
}

interface TierFieldProps extends Omit<FieldProps, 'fault'> {
  prices: TierPrices
}

function TierField({ id, settings, prices, onChange }: TierFieldProps) {
  return (
    <fieldset className="setting tier-setting">
      <legend>Tier</legend>
      <div className="segments">
        {SERVICE_TIERS.map((tier) => {
          const price = prices?.[tier]
          return (
            <label key={tier}>
              <input
                type="radio"
                name={id}
                className="unseen"
                checked={settings.tier === tier}
                onChange={() => onChange({ ...settings, tier })}
              />
              <span>
                {tier}
                <small className="figures">{price === undefined ? '…' : moneyText(price, 4)}</small>
              </span>
            </label>
          )
        })}
      </div>
      <p className="setting-note">{TIER_NOTES[settings.tier]}</p>
    </fieldset>
  )
}

function SeedField({ id, settings, fault, onChange }: FieldProps) {
  return (
    <div className="setting">
      <label htmlFor={id}>Seed</label>
      <input
        id={id}
        className="field figures"
        inputMode="numeric"
        autoComplete="off"
        placeholder="any"
        value={settings.seed}
        onChange={(event) => onChange({ ...settings, seed: event.target.value })}
        aria-invalid={fault !== null}
        aria-describedby={`${id}-fault`}
      />
      <FieldFault id={`${id}-fault`} text={fault} />
    </div>
  )
}
