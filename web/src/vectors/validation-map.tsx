import { useQuery } from '@tanstack/react-query';
import { useId } from 'react';
import { server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { ErrorNote } from '../parts/notes.tsx';
import { number } from '../text.ts';
import { useFragment } from '../use-fragment.ts';
import { HeatTable } from './heat-table.tsx';
import { mapForm, type MapSettings, unitWords, type Validation } from './validation-settings.ts';

interface ValidationMapProps {
  readonly name: string;
  /** Whether the vector lies in a run, which can be measured again. */
  readonly isRun: boolean;
}

/** What a vector was measured to do, layer by layer and strength by strength. */
export function ValidationMap({ name, isRun }: ValidationMapProps) {
  const found = useQuery({
    queryKey: ['vector-validation', name],
    queryFn: async () => (await server().vectorValidation(name)).validations,
  });
  return (
    <section className="card validation" aria-labelledby="validation">
      <h2 id="validation">Validation</h2>
      {found.error !== null && <ErrorNote error={found.error} onRetry={() => void found.refetch()} />}
      {found.data === undefined ? (
        found.error === null && (
          <p className="soft" role="status">
            Asking the server…
          </p>
        )
      ) : found.data.length === 0 ? (
        <NotMeasured name={name} isRun={isRun} />
      ) : (
        <Measured name={name} validations={found.data} />
      )}
    </section>
  );
}

function NotMeasured({ name, isRun }: ValidationMapProps) {
  return isRun ? (
    <>
      <p className="soft">
        Nobody has measured yet what this vector does by layer and strength. This does, in the folder of the
        server’s vectors:
      </p>
      <Command>{`persona validate ${name}`}</Command>
    </>
  ) : (
    <>
      <p className="soft">
        What this vector does by layer and strength is not known: the file holds a direction alone. An
        extraction measures what it finds, and its folder among the server’s vectors brings that along:
      </p>
      <Command>persona extract TRAIT --out runs/NAME</Command>
    </>
  );
}

interface MeasuredProps {
  readonly name: string;
  readonly validations: readonly Validation[];
}

function Measured({ name, validations }: MeasuredProps) {
  const [settings, change] = useFragment(mapForm);
  const validation = validations[settings.which] ?? validations[0]!;
  const { unsteered, coherence_floor: floor, chosen, random } = validation;
  const isRandom = settings.direction === 'random' && random.length > 0;
  const shown = { ...settings, direction: isRandom ? 'random' : 'vector' } as const;
  return (
    <>
      <div className="row validation-choices">
        {validations.length > 1 && (
          <label className="row">
            <span className="soft small">Protocol</span>
            <select
              value={validations.indexOf(validation)}
              onChange={(event) => change({ which: Number(event.target.value) })}
            >
              {validations.map(({ file, pooling, positions }, i) => (
                <option key={file} value={i}>
                  {pooling}, added at {positions}
                  {i === 0 ? ' (as extracted)' : ''}
                </option>
              ))}
            </select>
          </label>
        )}
        <Choice
          legend="Number"
          value={settings.measure}
          names={{ score: 'Trait score', coherence: 'Coherence' }}
          onChange={(measure) => change({ measure })}
        />
        {random.length > 0 && (
          <Choice
            legend="Direction"
            value={settings.direction}
            names={{ vector: 'This vector', random: 'A random direction as long' }}
            onChange={(direction) => change({ direction })}
          />
        )}
      </div>
      <HeatTable
        key={`${settings.which} ${shown.direction}`}
        name={name}
        validation={validation}
        settings={shown}
      />
      <Legend measure={settings.measure} floor={floor} hasChoice={chosen !== null && !isRandom} />
      <p className="soft small">
        {unitWords[validation.unit]}. Unsteered: score {number(unsteered.score)}, coherence{' '}
        {number(unsteered.coherence)}, of 100.
      </p>
    </>
  );
}

interface ChoiceProps<Value extends string> {
  readonly legend: string;
  readonly value: Value;
  readonly names: Readonly<Record<Value, string>>;
  readonly onChange: (value: Value) => void;
}

function Choice<Value extends string>({ legend, value, names, onChange }: ChoiceProps<Value>) {
  const group = useId();
  return (
    <fieldset className="choice">
      <legend className="unseen">{legend}</legend>
      {(Object.entries(names) as [Value, string][]).map(([one, text]) => (
        <label key={one} className={one === value ? 'chosen' : ''}>
          <input
            className="unseen"
            type="radio"
            name={group}
            checked={one === value}
            onChange={() => onChange(one)}
          />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

interface LegendProps {
  readonly measure: MapSettings['measure'];
  readonly floor: number;
  readonly hasChoice: boolean;
}

function Legend({ measure, floor, hasChoice }: LegendProps) {
  return (
    <div className="row heat-key small soft" aria-hidden="true">
      {measure === 'score' ? (
        <span className="heat-legend">
          40 below unsteered <span className="ramp" /> 40 above
        </span>
      ) : (
        <span className="heat-legend">
          0 <span className="ramp one-way" /> 100
        </span>
      )}
      {hasChoice && (
        <span>
          <span className="key best">72</span> chosen
        </span>
      )}
      <span>
        <span className="key broken">72</span> coherence below {floor}
      </span>
    </div>
  );
}
