import { useMemo, useState } from 'react';
import { LineChart, type Series } from '../charts/line-chart.tsx';
import { number, visible } from '../text.ts';
import type { Step } from './use-run.ts';

/** Points of a curve; a chart has not many more pixels. */
const mostPoints = 400;
const tones = ['tone-0', 'tone-1', 'tone-2', 'tone-3'] as const;

/** Loss, projections and learning rate of a training, step by step while it runs. */
export function StepCharts({ steps }: { readonly steps: readonly Step[] }) {
  const [cursor, setCursor] = useState<number | null>(null);
  const { loss, projections, rate } = useMemo(() => seriesOf(steps), [steps]);
  const common = { unit: 'step', cursor, onCursor: setCursor };
  return (
    <div className="step-charts">
      <section className="card">
        <h2>Loss</h2>
        <LineChart label="Loss by step" series={loss} height={180} {...common} />
      </section>
      {projections.length > 0 && (
        <section className="card">
          <h2>Projections of the probe rows</h2>
          <LineChart label="Projection by step" series={projections} height={180} {...common} />
        </section>
      )}
      <section className="card">
        <h2>Learning rate</h2>
        <LineChart label="Learning rate by step" series={rate} height={180} format={small} {...common} />
      </section>
    </div>
  );
}

function small(value: number): string {
  return value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(1).replaceAll('-', '−') : number(value);
}

interface StepSeries {
  readonly loss: readonly Series[];
  readonly projections: readonly Series[];
  readonly rate: readonly Series[];
}

function seriesOf(steps: readonly Step[]): StepSeries {
  const one = (name: string, tone: string, value: (step: Step) => number | undefined): Series => ({
    name: visible(name),
    tone,
    points: thin(
      steps.flatMap((step): [number, number][] => {
        const y = value(step);
        return y === undefined ? [] : [[step.step, y]];
      }),
    ),
  });
  const names = [...new Set(steps.flatMap(({ projections = {} }) => Object.keys(projections)))];
  const loss = [
    one('training rows', 'tone-0', (step) => step.loss),
    one('held-out rows', 'tone-1', (step) => step.test_loss),
  ];
  return {
    loss: loss.filter(({ points }, i) => i === 0 || points.length > 0),
    projections: names.map((name, i) =>
      one(name, tones[i % tones.length]!, (step) => step.projections?.[name]),
    ),
    rate: [one('learning rate', 'tone-0', (step) => step.lr)],
  };
}

/** Fewer points: each the mean of its neighbours, at the last of them. */
function thin(points: readonly [number, number][]): readonly [number, number][] {
  const each = Math.ceil(points.length / mostPoints);
  if (each <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const some = points.slice(i * each, (i + 1) * each);
    return [some.at(-1)![0], some.reduce((sum, [, y]) => sum + y, 0) / some.length];
  });
}
