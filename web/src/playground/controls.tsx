import { useState } from 'react';
import type { VectorFacts } from '../../../src/server/client.ts';
import { Name } from '../parts/notes.tsx';
import { count, number, visible } from '../text.ts';
import { isUsable, type Model, type Settings } from './settings.ts';
import { TraitSlider } from './trait-slider.tsx';

interface ControlsProps {
  readonly models: readonly Model[];
  readonly model: Model;
  /** Those of the model's shape. */
  readonly vectors: readonly VectorFacts[];
  /** How many there are beside them. */
  readonly others: number;
  readonly loading: boolean;
  readonly positions: readonly string[];
  readonly settings: Settings;
  readonly onChange: (some: Partial<Settings>) => void;
}

/** What decides a reply: model, system prompt, traits, sampling. */
export function Controls(props: ControlsProps) {
  const { models, model, settings, onChange } = props;
  // On a narrow screen they are behind a button that says what they are.
  const [open, setOpen] = useState(false);
  return (
    <aside className={open ? 'controls open' : 'controls'} aria-label="Settings">
      <button type="button" className="toggle" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span>{open ? 'Close settings' : 'Settings'}</span>
        <span className="soft small">{visible(summaryOf(model, settings))}</span>
      </button>
      <label className="field">
        <span>Model</span>
        <select value={model.id} onChange={(event) => onChange({ model: event.target.value })}>
          {models.map(({ id }) => (
            <option key={id} value={id}>
              {visible(id)}
            </option>
          ))}
        </select>
      </label>
      <p className="soft small facts">
        {count(model.layers, 'layer')}, width {model.width}, {model.precision}
      </p>
      {model.chat && (
        <label className="field">
          <span>System prompt</span>
          <textarea
            rows={2}
            dir="auto"
            placeholder="none"
            value={settings.system}
            onChange={(event) => onChange({ system: event.target.value })}
          />
        </label>
      )}
      <Traits {...props} />
      <Sampling {...props} />
    </aside>
  );
}

function summaryOf({ id }: Model, { steer }: Settings): string {
  const acting = Object.entries(steer).filter(([, coef]) => coef !== 0);
  return [id, ...acting.map(([name, coef]) => `${name} ${number(coef, { sign: true })}`)].join(' · ');
}

function Traits({ model, vectors, others, loading, settings, onChange }: ControlsProps) {
  const steers = Object.values(settings.steer).some((coef) => coef !== 0);
  return (
    <fieldset className="traits">
      <legend className="label">Steering: coefficient of each vector</legend>
      {vectors.map((vector) => (
        <TraitSlider
          key={vector.name}
          vector={vector}
          value={settings.steer[vector.name] ?? 0}
          usable={isUsable(vector, settings)}
          layer={settings.layer}
          onChange={(coef) => onChange({ steer: { ...settings.steer, [vector.name]: coef } })}
        />
      ))}
      {vectors.length === 0 && !loading && (
        <p className="soft small">
          No vector of <Name>{model.id}</Name> is here.
        </p>
      )}
      {others > 0 && <p className="soft small">{count(others, 'vector')} of models of another shape.</p>}
      {steers && (
        <button type="button" className="plain flush" onClick={() => onChange({ steer: {} })}>
          All to 0
        </button>
      )}
    </fieldset>
  );
}

function Sampling({ model, positions, settings, onChange }: ControlsProps) {
  return (
    <div className="sampling">
      <label className="field">
        <span>Layer</span>
        <select
          value={settings.layer ?? ''}
          onChange={(event) =>
            onChange({ layer: event.target.value === '' ? null : Number(event.target.value) })
          }
        >
          <option value="">as each vector recommends</option>
          {Array.from({ length: model.layers }, (_, i) => (
            <option key={i} value={i + 1}>
              {i + 1}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Positions</span>
        <select value={settings.positions} onChange={(event) => onChange({ positions: event.target.value })}>
          <option value="">as the model recommends</option>
          {positions.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <NumberField
        label="Temperature"
        value={settings.temperature}
        least={0}
        most={2}
        step={0.1}
        onChange={(temperature) => temperature !== null && onChange({ temperature })}
      />
      <NumberField
        label="Most tokens"
        value={settings.maxTokens}
        least={1}
        most={model.context - 1}
        step={1}
        onChange={(maxTokens) => maxTokens !== null && onChange({ maxTokens })}
      />
      <NumberField
        label="Seed"
        value={settings.seed}
        least={0}
        most={2 ** 31 - 1}
        step={1}
        placeholder="random"
        onChange={(seed) => onChange({ seed })}
      />
    </div>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly value: number | null;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly placeholder?: string;
  readonly onChange: (value: number | null) => void;
}

/** A number within bounds; null where the field is empty. What is out of them is not taken. */
function NumberField({ label, value, least, most, step, placeholder, onChange }: NumberFieldProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <input
        type="number"
        min={least}
        max={most}
        step={step}
        value={value ?? ''}
        placeholder={placeholder}
        onChange={({ target }) => {
          if (target.value === '') onChange(null);
          else if (target.validity.valid || target.validity.stepMismatch) onChange(target.valueAsNumber);
        }}
      />
    </label>
  );
}
