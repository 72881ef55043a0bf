import './settings-panel.css'
import { formatSeconds } from '@sluice/shared/models/frame-rule'
import type { PublicModel } from '@sluice/shared/public-model'
import type { PublicQuote } from '@sluice/shared/public-quote'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { useId } from 'react'
import { moneyText } from '../text/money-text.ts'
import type { Choice } from './choice.ts'
import type { FaultPlace } from './fault.ts'
import { FieldFault } from './field-fault.tsx'
import type { GenerationSettings } from './generation-settings.ts'
import { settingsFor } from './model-choice.ts'

const GUIDANCE_STEP = 0.5

type TierPrices = Partial<Record<ServiceTier, PublicQuote['cost']>> | undefined

interface SettingsPanelProps {
  id: string
  isOpen: boolean
  models: readonly PublicModel[]
  /** The one of them that is chosen, and what it makes of the settings; null while none is known. */
  chosen: { model: PublicModel; choice: Choice } | null
  settings: GenerationSettings
  /** What the video would cost in each tier, as far as it is known. */
  tierPrices: TierPrices
  /** What is wrong with a field, or null. */
  faultAt: (place: FaultPlace) => string | null
  onChange: (next: GenerationSettings) => void
}

/**
 * Model, resolution, length, steps, guidance, tier and seed, as far as the model leaves a choice; hidden
 * until the viewer opens it.
 */
export function SettingsPanel(props: SettingsPanelProps) {
  const { id, isOpen, models, chosen, settings, tierPrices, faultAt, onChange } = props
  const field = useId()
  const common = { settings, onChange }
  return (
    <div id={id} className="settings-panel" hidden={!isOpen}>
      {chosen !== null && (
        <>
          {models.length > 1 && (
            <ModelField
              id={`${field}-model`}
              models={models}
              chosen={chosen.model}
              fault={faultAt('model')}
              onChoose={(next) => onChange(settingsFor(settings, next))}
            />
          )}
          <ResolutionField {...common} {...chosen} id={`${field}-resolution`} />
          <LengthField {...common} {...chosen} id={`${field}-frames`} fault={faultAt('frames')} />
          <StepsField {...common} {...chosen} id={`${field}-steps`} fault={faultAt('steps')} />
          {chosen.model.guidance !== null && (
            <GuidanceField
              {...common}
              id={`${field}-guidance`}
              range={chosen.model.guidance}
              value={chosen.choice.guidance ?? chosen.model.guidance.default}
              fault={faultAt('guidance')}
            />
          )}
        </>
      )}
      <TierField {...common} id={`${field}-tier`} prices={tierPrices} />
      <SeedField {...common} id={`${field}-seed`} fault={faultAt('seed')} />
    </div>
  )
}

interface ModelFieldProps {
  id: string
  models: readonly PublicModel[]
  chosen: PublicModel
  fault: string | null
  onChoose: (model: PublicModel) => void
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
      <p className="setting-note">
        {chosen.description}
        {chosen.sound && ', with sound'}
      </p>
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

interface ChosenProps {
  model: PublicModel
  choice: Choice
}

function ResolutionField({ id, settings, model, choice, onChange }: Omit<FieldProps, 'fault'> & ChosenProps) {
  return (
    <fieldset className="setting">
      <legend>Resolution</legend>
      <div className="segments">
        {model.resolutions.map(({ name }) => (
          <label key={name}>
            <input
              type="radio"
              name={id}
              className="unseen"
              checked={choice.resolution === name}
              onChange={() => onChange({ ...settings, resolution: name })}
            />
            <span>{name}</span>
          </label>
        ))}
      </div>
      <p className="setting-note figures">{choice.size.replace('x', ' × ')}</p>
    </fieldset>
  )
}

function LengthField({ id, settings, model, choice, fault, onChange }: FieldProps & ChosenProps) {
  const { min, max, multiple, fps } = model.frames
  const { frames } = choice
  return (
    <div className="setting">
      <label htmlFor={id}>Length</label>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={multiple}
        disabled={min === max}
        value={frames}
        onChange={(event) => onChange({ ...settings, seconds: event.target.valueAsNumber / fps })}
        aria-valuetext={`${frames} frames, ${formatSeconds(frames, fps)} seconds`}
        aria-describedby={`${id}-fault`}
      />
      <p className="setting-note figures">
        {frames} {frames === 1 ? 'frame' : 'frames'} · {Number(choice.seconds.toFixed(3))} s
      </p>
      <FieldFault id={`${id}-fault`} text={fault} />
    </div>
  )
}

/** Without a slider when the model makes one number of steps alone. */
function StepsField({ id, settings, model, choice, fault, onChange }: FieldProps & ChosenProps) {
  const { min, max } = model.steps
  if (min === max) return null
  const { steps } = choice
  return (
    <div className="setting">
      <label htmlFor={id}>Steps</label>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
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

interface GuidanceFieldProps extends FieldProps {
  range: { min: number; max: number }
  value: number
}

function GuidanceField({ id, settings, range, value, fault, onChange }: GuidanceFieldProps) {
  return (
    <div className="setting">
      <label htmlFor={id}>Guidance</label>
      <input
        id={id}
        type="range"
        min={range.min}
        max={range.max}
        step={GUIDANCE_STEP}
        value={value}
        onChange={(event) => onChange({ ...settings, guidance: event.target.valueAsNumber })}
        aria-describedby={`${id}-fault`}
      />
      <p className="setting-note figures">{value}</p>
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
