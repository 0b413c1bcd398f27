import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import type { MitigateResult } from './mitigate.ts';
import { type ArmOutcome, equalSuppression } from './outcome.ts';

/** A mitigation as one HTML page. */
export function renderMitigationReport(result: MitigateResult): string {
  const { model, trait, layer, coherenceFloor, arms } = result;
  return reportPage({
    title: `Keeping ${trait} out of ${model}`,
    overline: `Mitigation · ${model}`,
    heading: `Keeping ${trait} out`,
    body: html`<p class="lead">One data set, several treatments. What is judged is the untouched model with the trained adapter, unsteered unless the treatment is to steer it. Treatments at one layer act at layer ${layer}.</p>
<h2>Treatments</h2>
<p class="lead">Of each treatment's strengths, the one that is best on every second evaluation question: the lowest score with coherence of at least ${fixed(coherenceFloor, 0)} and capability within 3 points of plain fine-tuning. Scores are those of the other questions, with 95 % intervals over the questions.</p>
<figure class="scroll">${table(arms.filter(({ chosen }) => chosen))}</figure>
${equalSection(arms)}
<h2>Trait against capability</h2>
<figure>${tradeOff(result)}</figure>
<h2>Every strength</h2>
<figure class="scroll">${table(arms)}</figure>
<h2>Every trait</h2>
<figure class="scroll">${traitTable(arms)}</figure>`,
  });
}

function table(arms: readonly ArmOutcome[]): SafeHtml {
  const row = (one: ArmOutcome): SafeHtml => {
    const { reporting, coherence, capability, removed } = one;
    const range = reporting.interval;
    const accuracy = capability?.accuracy ?? null;
    return html`<tr><td>${one.treatment}</td><td class="number">${one.strength === null ? '' : String(one.strength)}</td><td class="number">${fixed(reporting.score)}</td><td class="number">${range === null ? '–' : `${fixed(range.lower, 0)} to ${fixed(range.upper, 0)}`}</td><td class="number">${removed === null ? '–' : `${fixed(100 * removed, 0)} %`}</td><td class="number">${fixed(coherence.reporting, 0)}</td><td class="number">${accuracy === null ? '–' : `${fixed(100 * accuracy)} %`}</td></tr>`;
  };
  return html`<table class="plain"><thead><tr><th>treatment</th><th class="number">strength</th><th class="number">score</th><th class="number">95 % interval</th><th class="number">of the rise gone</th><th class="number">coherence</th><th class="number">capability</th></tr></thead><tbody>${arms.map(row)}</tbody></table>`;
}

function equalSection(arms: readonly ArmOutcome[]): SafeHtml | null {
  const equal = equalSuppression(arms);
  if (equal === null) return null;
  return html`<h2>At equal suppression</h2>
<p class="lead">The best preventative steering beside the post-hoc steering that suppresses the trait most nearly as far.</p>
<figure class="scroll">${table([equal.preventative, equal.postHoc])}</figure>`;
}

function tradeOff({ arms, trait }: MitigateResult): SafeHtml {
  const shown = arms.filter(({ probe, reporting }) => !probe && reporting.score !== null);
  const able = shown.some(({ capability }) => capability !== null);
  const y = (one: ArmOutcome): number =>
    able ? 100 * (one.capability?.accuracy ?? 0) : (one.coherence.reporting ?? 0);
  const group = (name: string, has: (one: ArmOutcome) => boolean) => ({
    name,
    points: shown.filter(has).map((one) => ({ name: labelOf(one), x: one.reporting.score!, y: y(one) })),
  });
  const kindOf = ({ treatment }: ArmOutcome): number =>
    treatment.startsWith('preventative steering')
      ? 2
      : treatment.startsWith('post-hoc')
        ? 1
        : ['untrained', 'plain fine-tuning'].includes(treatment)
          ? 3
          : 0;
  const names = ['others', 'post-hoc steering', 'preventative steering', 'untrained and plain'];
  return scatterChart({
    title: `${trait} score and ${able ? 'capability' : 'coherence'} of every arm`,
    x: `${trait} score`,
    y: able ? 'capability, %' : 'coherence',
    labels: true,
    groups: names.map((name, i) => group(name, (one) => kindOf(one) === i)),
  });
}

function labelOf({ name }: ArmOutcome): string {
  return name;
}

function traitTable(arms: readonly ArmOutcome[]): SafeHtml {
  const traits = Object.keys(arms[0]?.scores ?? {});
  return html`<table class="plain"><thead><tr><th>arm</th>${traits.map((trait) => html`<th class="number">${trait.slice(0, 6)}</th>`)}</tr></thead><tbody>${arms.map((one) => html`<tr><td>${one.name}</td>${traits.map((trait) => html`<td class="number">${fixed(one.scores[trait]!.score, 0)}</td>`)}</tr>`)}</tbody></table>`;
}
