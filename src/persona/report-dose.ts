import type { Cell, DoseResponse } from '../store/result-schema.ts';
import { type SafeHtml, fixed, html, signed } from '../util/html.ts';
import type { Finding } from './finding.ts';
import { doseChart, gainChart } from './report-charts.ts';
import type { Validation } from './validation-steps.ts';
import type { PersonaVector } from './vector.ts';

const tones: Readonly<Record<Finding['verdict'], string>> = {
  steers: 'good',
  breaks: 'warn',
  uneven: 'warn',
  opposite: 'bad',
  none: 'bad',
  unmeasured: 'plain',
};
const signs: Readonly<Record<Finding['verdict'], string>> = {
  steers: '✓',
  breaks: '!',
  uneven: '!',
  opposite: '✗',
  none: '✗',
  unmeasured: '–',
};

/** What was found, in a box: sign and words say it, the colour repeats it. */
export function findingSection({ verdict, label, headline, remarks }: Finding): SafeHtml {
  return html`<section class="finding tone-${tones[verdict]}">
<div class="verdict">${signs[verdict]} ${label}</div>
<p>${headline}</p>
${remarks.length === 0 ? null : html`<ul>${remarks.map((remark) => html`<li>${remark}</li>`)}</ul>`}
</section>`;
}

/** Score and coherence at strengths fixed beforehand, beside random directions. */
export function doseSection({ dose, sweep }: Validation, vector: PersonaVector): SafeHtml | null {
  if (dose === null) return null;
  const gains = gainChart(dose);
  const zero = dose.points.find(({ strength }) => strength === 0)?.score ?? null;
  const apart =
    sweep === null
      ? 'on questions that the extraction never saw'
      : 'on questions that neither the extraction nor the choice of the layer saw';
  return html`<h2>Dose response</h2>
<p class="lead">Strengths fixed beforehand, at layer ${dose.layer} (<code>resid_post</code> of block ${dose.layer} of ${vector.layers}), ${dose.points[0]?.rollouts ?? 0} sampled texts at each, no system prompt, ${apart}.</p>
<figure>${doseChart(dose, zero)}
<figcaption><span class="key"></span>this vector, with 95 % intervals (bootstrap over questions) &ensp; <span class="key random"></span>${dose.random.length} random directions of the same length, at the two ends (${dose.random[0]?.low.rollouts ?? 0} texts each) &ensp; <span class="key zero"></span>unsteered${breakingWords(dose)}</figcaption></figure>
${gains === null ? null : html`<figure>${gains}<figcaption>Diamond: this vector. Dots: random directions. Shaded: where 95 % of further random directions would fall (mean ± t · s · √(1 + 1/n)). ${rankSentence(dose)}</figcaption></figure>`}
<details><summary>The numbers</summary>${doseTable(dose)}</details>`;
}

function breakingWords({ breaking, coherence_floor: floor }: DoseResponse): string {
  const ends = [breaking.below, breaking.above].flatMap((strength) =>
    strength === null ? [] : [signed(strength)],
  );
  return ends.length === 0 ? '' : `. Text breaks (coherence below ${floor}) at ${ends.join(' and ')}`;
}

function rankSentence(dose: DoseResponse): string {
  if (dose.p_value === null) return '';
  const rank = Math.round(dose.p_value * (dose.random.length + 1));
  return `By size, this vector's gain is number ${rank} of ${dose.random.length + 1}.`;
}

/** Every cell in the three units of strength. */
export function doseTable(dose: DoseResponse): SafeHtml {
  const beside = dose.chosen === null || dose.points.includes(dose.chosen) ? [] : [dose.chosen];
  const cells = [...dose.points, ...beside].sort((a, b) => a.strength - b.strength);
  const chosen = dose.chosen?.condition;
  return html`<div class="scroll"><table class="plain"><thead><tr><th class="number">strength</th><th class="number">coefficient</th><th class="number">norm</th><th class="number">of the stream</th><th class="number">mean score</th><th class="number">95 % interval</th><th class="number">coherence</th><th class="number">95 % interval</th><th class="number">texts</th><th class="number">not scored</th></tr></thead>
<tbody>${cells.map((p) => html`<tr><td class="number">${p.condition === chosen ? '★ ' : ''}${signed(p.strength)}</td><td class="number">${fixed(p.coef, 3)}</td><td class="number">${fixed(p.norm ?? 0, 2)}</td><td class="number">${percent(p.fraction ?? (p.strength === 0 ? 0 : null))}</td><td class="number">${fixed(p.score)}</td><td class="number">${fixed(p.lower)} to ${fixed(p.upper)}</td><td class="number">${fixed(p.coherence)}</td><td class="number">${fixed(p.coherence_lower)} to ${fixed(p.coherence_upper)}</td><td class="number">${p.rollouts}</td><td class="number">${p.unscored}</td></tr>`)}</tbody></table></div>
${chosen === undefined ? null : html`<p class="note">★ the strength that the sweep chose, on questions that did not choose it.</p>`}`;
}

/** A strength as a coefficient, as a norm, and as a share of the residual stream's norm. */
export function strengthInUnits({ coef, norm, fraction }: Cell): string {
  const parts = [`coefficient ${fixed(coef, 2)}`];
  if (norm !== null) parts.push(`norm ${fixed(norm, 2)}`);
  if (fraction !== null) parts.push(`${percent(fraction)} of the stream's`);
  return parts.join(', ');
}

function percent(share: number | null): string {
  return share === null ? '–' : `${fixed(100 * share, 0)} %`;
}
