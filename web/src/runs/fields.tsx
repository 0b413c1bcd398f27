import { useId } from 'react';
import { visible } from '../text.ts';

interface ChooseProps {
  readonly label: string;
  readonly value: string;
  readonly values: readonly string[];
  /** What is shown for a value, where that is not itself. */
  readonly names?: Readonly<Record<string, string>>;
  readonly onChange: (value: string) => void;
}

/** One of several names. */
export function Choose({ label, value, values, names, onChange }: ChooseProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        {values.map((one) => (
          <option key={one} value={one}>
            {names?.[one] ?? visible(one)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface QuickProps {
  readonly checked: boolean;
  readonly hint: string;
  readonly onChange: (checked: boolean) => void;
}

/** Whether a run is to take little time. */
export function Quick({ checked, hint, onChange }: QuickProps) {
  const id = useId();
  return (
    <div>
      <label className="row">
        <input
          type="checkbox"
          checked={checked}
          aria-describedby={id}
          onChange={(event) => onChange(event.target.checked)}
        />
        Quick
      </label>
      <p id={id} className="soft small">
        {hint}
      </p>
    </div>
  );
}

interface TextProps {
  readonly label: string;
  readonly value: string;
  readonly hint: string;
  /** What the value must be; the browser says so where it is not. */
  readonly pattern?: string;
  readonly long?: boolean;
  readonly onChange: (value: string) => void;
}

/** A text of one line or several. */
export function Text({ label, value, hint, pattern, long = false, onChange }: TextProps) {
  const id = useId();
  const shared = {
    value,
    'aria-describedby': id,
    spellCheck: long,
    autoComplete: 'off',
    dir: 'auto',
  } as const;
  return (
    <div>
      <label className="field">
        <span>{label}</span>
        {long ? (
          <textarea
            rows={3}
            maxLength={2000}
            {...shared}
            onChange={(event) => onChange(event.target.value)}
          />
        ) : (
          <input {...shared} pattern={pattern} onChange={(event) => onChange(event.target.value)} />
        )}
      </label>
      <p id={id} className="soft small">
        {hint}
      </p>
    </div>
  );
}
