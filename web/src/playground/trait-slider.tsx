import { type CSSProperties, useState } from 'react';
import type { VectorFacts } from '../../../src/server/client.ts';
import { Name } from '../parts/notes.tsx';
import { visible } from '../text.ts';

interface TraitSliderProps {
  readonly vector: VectorFacts;
  readonly value: number;
  /** False where nothing says at which layer it acts. */
  readonly usable: boolean;
  /** Of all vectors, in place of the recommended ones. */
  readonly layer: number | null;
  readonly onChange: (coefficient: number) => void;
}

/** One vector's coefficient: a slider from suppression to more of the trait, and a field for any number. */
export function TraitSlider({ vector, value, usable, layer, onChange }: TraitSliderProps) {
  const { name, recommended_layer: recommended, recommended_strength: strength } = vector;
  // Twice what is recommended reaches to where most models break.
  const most = Math.max(2, Math.ceil(2 * Math.abs(strength ?? 0)));
  const [text, setText] = useText(value);
  const at = layer ?? recommended;
  const share = (Math.min(most, Math.max(-most, value)) / most + 1) / 2;
  return (
    <div className="trait" data-vector={name}>
      <div className="trait-name">
        <Name>{name}</Name>
        <span className="soft small">
          {at === null ? 'no layer' : `layer ${at}`}
          {strength !== null && layer === null && `, advised ${strength}`}
        </span>
      </div>
      <div className="trait-value">
        <input
          type="range"
          className="bipolar"
          min={-most}
          max={most}
          step={0.05}
          value={value}
          disabled={!usable}
          aria-label={`Coefficient of ${visible(name)}`}
          style={{ '--share': share } as CSSProperties}
          onChange={(event) => onChange(event.target.valueAsNumber)}
          onDoubleClick={() => onChange(0)}
        />
        <input
          type="number"
          step={0.05}
          value={text}
          disabled={!usable}
          aria-label={`Coefficient of ${visible(name)}, as a number`}
          onChange={({ target }) => {
            setText(target.value);
            onChange(Number.isFinite(target.valueAsNumber) ? target.valueAsNumber : 0);
          }}
        />
      </div>
      {!usable && <p className="soft small">It recommends no layer: choose one below.</p>}
    </div>
  );
}

/** What stands in the field: what one writes, which may be half a number, as long as it means the value. */
function useText(value: number): [string, (text: string) => void] {
  const [draft, setDraft] = useState(String(value));
  return [Number(draft) === value ? draft : String(value), setDraft];
}
