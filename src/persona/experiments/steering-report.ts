import { type SafeHtml, fixed, html, signed } from '../../util/html.ts';
import { lineChart } from '../../util/line-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import type { Measured } from '../condition.ts';
import { unitNames } from '../strength.ts';
import type { SteeringExperiment } from './steering.ts';
import type { Side } from './steering-plan.ts';
import type { DosePoint } from './steering-results.ts';

const sideNames: Readonly<Record<Side, string>> = {
  prompted: 'Told to show the trait, and steered away from it',
  neutral: 'Told nothing, and steered towards it',
};
const treatmentNames: Readonly<Record<string, string>> = {
  none: 'nothing',
  cap: 'cap',
  subtract: 'subtraction of equal suppression',
};

/** The experiment as a page. */
export function renderSteeringReport(result: SteeringExperiment): string {
  const { trait, model, layer, pooling, positions, unit, samples, notes } = result;
  const body = html`<p class="lead">What the ${trait} vector (<code>${pooling}</code>, layer ${layer}, added at <code>${positions}</code>) does where the trait is and where it is not. Strength: ${unitNames[unit]}. Replies to every evaluation question: ${samples}. Intervals: 95 %, bootstrap over questions.</p>
${notes.length === 0 ? null : html`<ul class="note">${notes.map((line) => html`<li>${line}</li>`)}</ul>`}
<h2>Dose by dose</h2>
<div class="pair">${(['prompted', 'neutral'] as const).map((side) => doseFigure(result, side))}</div>
<details><summary>The numbers</summary><div class="scroll">${doseTable(result.doses)}</div></details>
${capSection(result)}
${turnSection(result)}
<footer>All numbers of this page lie beside it in steering.json, all replies in the files of JSON lines.</footer>`;
  const title = `${trait} in ${model}: steering`;
  return reportPage({ title, overline: `Steering experiment · ${model}`, heading: trait, body });
}

function doseFigure({ doses, spearman }: SteeringExperiment, side: Side): SafeHtml {
  const own = doses.filter((point) => point.side === side);
  const curve = (
    name: string,
    has: (point: DosePoint) => boolean,
    value: (point: DosePoint) => number | null,
  ) => ({
    name,
    points: own
      .filter(has)
      .toSorted((a, b) => a.strength - b.strength)
      .flatMap((point) => {
        const y = value(point);
        return y === null ? [] : [[point.strength, y] as const];
      }),
  });
  const isTrait = ({ direction }: DosePoint): boolean => direction !== 'random';
  const isRandom = ({ direction }: DosePoint): boolean => direction !== 'trait';
  const chart = lineChart({
    title: `Score and coherence by strength, ${side}`,
    width: 440,
    fromZero: true,
    series: [
      curve('score', isTrait, ({ score }) => score),
      curve('score, random', isRandom, ({ score }) => score),
      curve('coherence', isTrait, ({ coherence }) => coherence),
    ],
  });
  return html`<figure><h3>${sideNames[side]}</h3>${chart}<figcaption>Spearman of strength and score ${fixed(spearman[side], 2)}.</figcaption></figure>`;
}

function doseTable(doses: readonly DosePoint[]): SafeHtml {
  return html`<table class="plain"><thead><tr><th>model</th><th>direction</th><th class="number">strength</th><th class="number">score</th><th class="number">coherence</th><th class="number">texts</th></tr></thead><tbody>${doses.map((point) => html`<tr><td>${point.side}</td><td>${point.direction}</td><td class="number">${signed(point.strength)}</td>${measuredCells(point)}<td class="number">${point.rollouts}</td></tr>`)}</tbody></table>`;
}

function measuredCells({
  score,
  lower,
  upper,
  coherence,
  coherence_lower: from,
  coherence_upper: to,
}: Measured): SafeHtml {
  return html`<td class="number">${fixed(score)} (${fixed(lower, 0)} to ${fixed(upper, 0)})</td><td class="number">${fixed(coherence)} (${fixed(from, 0)} to ${fixed(to, 0)})</td>`;
}

function capSection({ cap }: SteeringExperiment): SafeHtml {
  const { percentile, threshold, tokens, treatments, equal } = cap;
  return html`<h2>Capping against subtraction</h2>
<p class="lead">The cap keeps every reply token's projection at most at ${fixed(threshold, 2)}, the ${percentile}th percentile of ${tokens} tokens of ordinary replies to other questions.${equal === null ? '' : ` The subtraction, strength ${fixed(equal, 2)}, was chosen to suppress as much.`} What each changes in ordinary replies is told by those of the same random numbers without it: how many are the same, and after which share of its tokens a reply differs.</p>
<figure class="scroll"><table class="plain"><thead><tr><th>treatment</th><th class="number">prompted: score</th><th class="number">coherence</th><th class="number">ordinary: score</th><th class="number">coherence</th><th class="number">unchanged</th><th class="number">until it differs</th></tr></thead>
<tbody>${treatments.map(({ name, prompted, ordinary }) => html`<tr><td>${treatmentNames[name] ?? name}</td>${measuredCells(prompted)}${measuredCells(ordinary)}<td class="number">${fixed(100 * ordinary.same, 0)} %</td><td class="number">${fixed(100 * ordinary.kept, 0)} %</td></tr>`)}</tbody></table></figure>`;
}

function turnSection({ conversations: { coef, points } }: SteeringExperiment): SafeHtml {
  const arms = [...new Set(points.map(({ arm }) => arm))];
  const chart = (title: string, value: (point: Measured) => number | null): SafeHtml =>
    lineChart({
      title,
      width: 440,
      fromZero: true,
      series: arms.map((arm) => ({
        name: arm,
        points: points.flatMap((point) => {
          const y = value(point);
          return point.arm === arm && y !== null ? [[point.turn, y] as const] : [];
        }),
      })),
    });
  return html`<h2>Over the turns of a conversation</h2>
<p class="lead">Coefficient ${fixed(coef, 2)}. With a clean history the earlier turns are read unsteered before every reply; with a steered one as in a cache that is kept while the conversation goes on. Every turn has the same questions.</p>
<div class="pair"><figure><h3>Score by turn</h3>${chart('Score by turn', ({ score }) => score)}</figure>
<figure><h3>Coherence by turn</h3>${chart('Coherence by turn', ({ coherence }) => coherence)}</figure></div>
<details><summary>The numbers</summary><div class="scroll"><table class="plain"><thead><tr><th>conversation</th><th class="number">turn</th><th class="number">score</th><th class="number">coherence</th></tr></thead><tbody>${points.map((point) => html`<tr><td>${point.arm}</td><td class="number">${point.turn}</td>${measuredCells(point)}</tr>`)}</tbody></table></div></details>`;
}
