import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import { plainTable } from '../../util/report-tables.ts';
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
<figure class="scroll">${armTable(arms.filter(({ chosen }) => chosen))}</figure>
${equalSection(arms)}
<h2>Trait against capability</h2>
<figure>${tradeOff(result)}</figure>
<h2>Every strength</h2>
<figure class="scroll">${armTable(arms)}</figure>
<h2>Every trait</h2>
<figure class="scroll">${traitTable(arms)}</figure>`,
  });
}

/** Arms with their scores on the questions that report, coherence and capability. */
export function armTable(arms: readonly ArmOutcome[]): SafeHtml {
  return plainTable(
    ['treatment', 'strength', 'score', '95 % interval', 'of the rise gone', 'coherence', 'capability'],
    arms.map(({ treatment, strength, reporting, coherence, capability, removed }) => {
      const range = reporting.interval;
      const accuracy = capability?.accuracy ?? null;
      return [
        treatment,
        strength === null ? '' : String(strength),
        fixed(reporting.score),
        range === null ? '–' : `${fixed(range.lower, 0)} to ${fixed(range.upper, 0)}`,
        removed === null ? '–' : `${fixed(100 * removed, 0)} %`,
        fixed(coherence.reporting, 0),
        accuracy === null ? '–' : `${fixed(100 * accuracy)} %`,
      ];
    }),
  );
}

function equalSection(arms: readonly ArmOutcome[]): SafeHtml | null {
  const equal = equalSuppression(arms);
  if (equal === null) return null;
  return html`<h2>At equal suppression</h2>
<p class="lead">The best preventative steering beside the post-hoc steering that suppresses the trait most nearly as far.</p>
<figure class="scroll">${armTable([equal.preventative, equal.postHoc])}</figure>`;
}

/** Trait against capability, or coherence where that was not measured. */
export function tradeOff({ arms, trait }: MitigateResult, width?: number): SafeHtml {
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
    labels: width === undefined,
    ...(width !== undefined && { width }),
    groups: names.map((name, i) => group(name, (one) => kindOf(one) === i)),
  });
}

function labelOf({ name }: ArmOutcome): string {
  return name;
}

function traitTable(arms: readonly ArmOutcome[]): SafeHtml {
  const traits = Object.keys(arms[0]?.scores ?? {});
  return plainTable(
    ['arm', ...traits.map((trait) => trait.slice(0, 6))],
    arms.map((one) => [one.name, ...traits.map((trait) => fixed(one.scores[trait]!.score, 0))]),
  );
}
