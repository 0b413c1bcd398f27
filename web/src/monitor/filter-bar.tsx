import { useQuery } from '@tanstack/react-query';
import { server } from '../connection.ts';
import { visible } from '../text.ts';
import { type Filters, spans } from './filters.ts';

const spanNames: Readonly<Record<(typeof spans)[number], string>> = {
  0: 'at any time',
  1: 'in the last hour',
  24: 'in the last day',
  168: 'in the last week',
};

interface FilterBarProps {
  readonly filters: Filters;
  readonly models: readonly string[];
  readonly onChange: (some: Partial<Filters>) => void;
}

/** What is shown of all conversations. */
export function FilterBar({ filters, models, onChange }: FilterBarProps) {
  const { data: vectors = [] } = useQuery({ queryKey: ['vectors'], queryFn: () => server().vectors() });
  const names = [...new Set(vectors.map(({ name }) => name))];
  return (
    <form className="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <Choice
        label="Model"
        value={filters.model}
        all="all models"
        of={models}
        onChange={(model) => onChange({ model })}
      />
      <Choice
        label="Vector"
        value={filters.vector}
        all="all vectors"
        of={names}
        onChange={(vector) => onChange({ vector })}
      />
      <label>
        Time
        <select value={filters.hours} onChange={(event) => onChange({ hours: Number(event.target.value) })}>
          {spans.map((span) => (
            <option key={span} value={span}>
              {spanNames[span]}
            </option>
          ))}
        </select>
      </label>
      <label>
        Id or key
        <input
          type="search"
          value={filters.text}
          maxLength={200}
          onChange={(event) => onChange({ text: event.target.value })}
        />
      </label>
      <label className="check">
        <input
          type="checkbox"
          checked={filters.alerted}
          onChange={(event) => onChange({ alerted: event.target.checked })}
        />
        with alerts only
      </label>
    </form>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  /** How no choice is said. */
  readonly all: string;
  readonly of: readonly string[];
  readonly onChange: (value: string) => void;
}

function Choice({ label, value, all, of, onChange }: ChoiceProps) {
  // An address can name what this server does not have.
  const options = value === '' || of.includes(value) ? of : [value, ...of];
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{all}</option>
        {options.map((one) => (
          <option key={one} value={one}>
            {visible(one)}
          </option>
        ))}
      </select>
    </label>
  );
}
