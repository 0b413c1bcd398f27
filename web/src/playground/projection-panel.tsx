import { useMemo } from 'react';
import { LineChart, type Series } from '../charts/line-chart.tsx';
import { Name } from '../parts/notes.tsx';
import { Legend } from '../parts/token-text.tsx';
import { visible } from '../text.ts';
import type { Reply } from './reply.ts';
import type { Turn } from './use-conversation.ts';

interface ProjectionPanelProps {
  /** The turn that is drawn. */
  readonly turn: Turn | null;
  readonly names: readonly string[];
  readonly shown: string | null;
  readonly scale: number;
  readonly cursor: number | null;
  readonly onShown: (name: string | null) => void;
  readonly onCursor: (token: number | null) => void;
}

const zero: readonly number[] = [0];

/** Projections of both replies, token by token while they come, and the vector that colours. */
export function ProjectionPanel(props: ProjectionPanelProps) {
  const { turn, names, shown, scale, cursor, onShown, onCursor } = props;
  const series = useMemo(() => (turn === null || shown === null ? [] : seriesOf(turn, shown)), [turn, shown]);
  if (names.length === 0) return null;
  return (
    <div className="projection-panel">
      <div className="row">
        <fieldset className="choice">
          <legend className="unseen">Colour tokens by their projection on</legend>
          {names.map((name) => (
            <Choice key={name} name={name} checked={name === shown} onChoose={() => onShown(name)} />
          ))}
          <Choice name="no colour" checked={shown === null} onChoose={() => onShown(null)} />
        </fieldset>
        {shown !== null && turn !== null && <Legend vector={shown} scale={scale} />}
      </div>
      {shown !== null && series.length > 0 && (
        <LineChart
          label={`Projection on ${visible(shown)}, token by token`}
          series={series}
          unit="token"
          height={132}
          includeY={zero}
          cursor={cursor === null ? null : cursor + 1}
          onCursor={(x) => onCursor(x === null ? null : Math.max(0, x - 1))}
        />
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly name: string;
  readonly checked: boolean;
  readonly onChoose: () => void;
}

function Choice({ name, checked, onChoose }: ChoiceProps) {
  return (
    <label className={checked ? 'chosen' : ''}>
      <input className="unseen" type="radio" name="shown" checked={checked} onChange={onChoose} />
      <Name>{name}</Name>
    </label>
  );
}

function seriesOf({ plain, steered }: Turn, vector: string): Series[] {
  const one = (name: string, tone: string, reply: Reply): Series => ({
    name,
    tone,
    points: reply.tokens.flatMap(({ values }, i): [number, number][] => {
      const value = values?.[vector];
      return value === undefined ? [] : [[i + 1, value]];
    }),
  });
  const both = [one('unsteered', 'tone-plain', plain)];
  if (steered !== null) both.push(one('steered', 'tone-accent', steered));
  return both.some(({ points }) => points.length > 0) ? both : [];
}
