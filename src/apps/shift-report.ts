import { writeWhole } from '../store/files.ts';
import { fixed, html } from '../util/html.ts';
import { lineChart } from '../util/line-chart.ts';
import { reportPage } from '../util/report-page.ts';
import type { ShiftResult, TraitShift } from './shift.ts';

/** Writes a finetuning shift as one HTML page. */
export async function writeShiftReport(file: string, result: ShiftResult): Promise<void> {
  await writeWhole(file, renderShiftReport(result));
}

/** The page: the summary, and every trait's shift by layer. */
function renderShiftReport({ base, tuned, traits }: ShiftResult): string {
  return reportPage({
    title: `Finetuning shift of ${tuned}`,
    overline: 'Finetuning shift',
    heading: tuned,
    body: html`<p class="lead">How far the last prompt token's residual stream has moved from ${base} along the direction of each trait's vector: the mean over the trait's evaluation questions, put without any instruction, of (a<sub>tuned</sub> − a<sub>base</sub>) · v/‖v‖. Intervals: 95 % of means over questions drawn with replacement.</p>
<figure class="scroll"><table class="plain"><thead><tr><th>trait</th><th class="number">layer</th><th class="number">shift</th><th class="number">95 % interval</th><th class="number">moved in all</th><th class="number">prompts</th></tr></thead><tbody>
${traits.map(({ trait, chosen, prompts }) => html`<tr><td>${trait}</td><td class="number">${chosen.layer}</td><td class="number">${fixed(chosen.shift, 2)}</td><td class="number">${chosen.interval === null ? '–' : `${fixed(chosen.interval.lower, 2)} to ${fixed(chosen.interval.upper, 2)}`}</td><td class="number">${fixed(chosen.moved, 2)}</td><td class="number">${prompts}</td></tr>`)}
</tbody></table></figure>
<h2>By layer</h2>
${traits.map((one) => html`<figure><h3>${one.trait}</h3>${layerChart(one)}</figure>`)}`,
  });
}

function layerChart({ trait, layers }: TraitShift): ReturnType<typeof lineChart> {
  const line = (name: string, value: (layer: TraitShift['layers'][number]) => number) => ({
    name,
    points: layers.map((one) => [one.layer, value(one)] as const),
  });
  return lineChart({
    title: `Shift along ${trait} by layer`,
    series: [
      line('shift', ({ shift }) => shift),
      line('lower end', ({ interval, shift }) => interval?.lower ?? shift),
      line('upper end', ({ interval, shift }) => interval?.upper ?? shift),
    ],
  });
}
