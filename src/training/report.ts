import type { TrainManifest, TrainStep } from '../store/train-schema.ts';
import { lineChart } from '../util/line-chart.ts';
import { type SafeHtml, fixed, html } from '../util/html.ts';
import { reportPage, tile } from '../util/report-page.ts';
import type { EffectReport } from './effect.ts';
import type { WatchedVector } from './watch.ts';

/** All that a training report shows. */
export interface TrainReportData {
  readonly manifest: Omit<TrainManifest, 'artifacts'>;
  readonly steps: readonly TrainStep[];
  /** Null where nothing was steered. */
  readonly effect: EffectReport | null;
  readonly watched: readonly Pick<WatchedVector, 'name' | 'layer'>[];
}

/**
 * The report of a training run: one HTML page without scripts that asks for nothing from elsewhere. Names come from
 * outside and are escaped, and a content policy forbids what would slip through.
 */
export function renderTrainReport(data: TrainReportData): string {
  const { manifest, steps } = data;
  const { model, config } = manifest;
  const what = config['is_peft'] === true ? 'LoRA adapter' : 'full model';
  const body = html`${tiles(data)}
<h2>Loss</h2>
<p class="lead">Of every step, over the response tokens of its rows, on the parameters as the step found them.</p>
<figure>${lossChart(steps, manifest.final.test_loss ?? null)}</figure>
${projectionSection(data)}
${effectSection(data.effect)}
<h2>Learning rate and gradient</h2>
<div class="pair">
<figure><h3>Learning rate</h3>${lineChart({ title: 'Learning rate by step', series: [series('learning rate', steps, ({ lr }) => lr)], width: 430 })}</figure>
<figure><h3>Norm of the gradient, before clipping</h3>${lineChart({ title: 'Gradient norm by step', series: [series('gradient norm', steps, ({ grad_norm: norm }) => norm)], width: 430, fromZero: true })}</figure>
</div>
${penaltySection(steps)}
${configSection(data)}
<footer>${manifest.package.name} ${manifest.package.version}. All numbers of this page lie beside it in train_log.jsonl and manifest.json.</footer>`;
  const title = `Training of ${model.id}`;
  return reportPage({ title, overline: `Training · ${what}`, heading: model.id, body });
}

type Series = Parameters<typeof lineChart>[0]['series'][number];

function series(
  name: string,
  steps: readonly TrainStep[],
  value: (step: TrainStep) => number | undefined,
): Series {
  const points = steps.flatMap((step): [number, number][] => {
    const y = value(step);
    return y === undefined ? [] : [[step.step, y]];
  });
  return { name, points };
}

function tiles({ manifest, steps }: TrainReportData): SafeHtml {
  const { counts, final, seconds } = manifest;
  const [first, last] = [steps[0], steps.at(-1)];
  const rate = seconds > 0 ? (counts['tokens'] ?? 0) / seconds : null;
  return html`<dl class="tiles">
${tile('Loss, first to last step', `${fixed(first?.loss ?? null, 3)} → ${fixed(last?.loss ?? null, 3)}`, final.test_loss === undefined ? 'no rows were held out' : `held-out rows at the end: ${fixed(final.test_loss, 3)}`)}
${tile('Steps', String(counts['steps'] ?? 0), `${counts['rows'] ?? 0} rows, ${counts['epochs'] ?? 0} epochs begun`)}
${tile('Tokens', String(counts['tokens'] ?? 0), `${fixed(rate, 0)} a second`)}
${tile('Rows left out or cut', String((counts['rows_skipped_long'] ?? 0) + (counts['rows_skipped_empty'] ?? 0) + (counts['rows_truncated'] ?? 0)), `${counts['rows_truncated'] ?? 0} cut at the end, ${counts['rows_skipped_long'] ?? 0} too long, ${counts['rows_skipped_empty'] ?? 0} without a token that counts`)}
</dl>`;
}

function lossChart(steps: readonly TrainStep[], finalTest: number | null): SafeHtml {
  const test = series('held-out rows', steps, ({ test_loss: loss }) => loss);
  const end = steps.at(-1)?.step ?? 0;
  const points = finalTest === null ? test.points : [...test.points, [end + 1, finalTest] as const];
  const all = [series('training rows', steps, ({ loss }) => loss), { name: test.name, points }];
  return lineChart({ title: 'Loss by step', series: all.filter((line) => line.points.length > 0) });
}

function projectionSection({ steps, watched, manifest }: TrainReportData): SafeHtml | null {
  if (watched.length === 0) return null;
  const end = (steps.at(-1)?.step ?? 0) + 1;
  const lines = watched.map(({ name, layer }): Series => {
    const line = series(name, steps, ({ projections }) => projections?.[name]);
    const final = manifest.final.projections?.[name];
    const points = final === undefined ? line.points : [...line.points, [end, final] as const];
    return { name: `${name}, layer ${layer}`, points };
  });
  return html`<h2>Projections</h2>
<p class="lead">Mean projection of the probe rows (<code>${JSON.stringify(manifest.config['watch_pooling'])}</code>) on each watched vector's direction, without the training's interventions.</p>
<figure>${lineChart({ title: 'Projections by step', series: lines })}</figure>`;
}

function effectSection(effect: EffectReport | null): SafeHtml | null {
  if (effect === null) return null;
  const shown = effect.layers.filter(
    ({ intervenes, gradientCosine }) => intervenes || gradientCosine !== null,
  );
  const headline =
    effect.unmoved.length === 0
      ? 'Every intervention moved the residual stream.'
      : `The interventions at layer ${effect.unmoved.join(', ')} moved nothing: check vector, strength and positions.`;
  return html`<h2>What the steering does</h2>
<p class="lead">${headline} Measured on the ${effect.rows} rows of the first pass before any training, with the interventions and without; loss ${fixed(effect.loss.without, 3)} without, ${fixed(effect.loss.with, 3)} with. A cosine below 0 means that the rows ask for more of the vector.</p>
<figure class="scroll"><table class="plain"><thead><tr><th>layer</th><th class="number">norm of the stream</th><th class="number">moved by</th><th class="number">along the vector</th><th class="number">cos(dL/dh, v) without</th><th class="number">with</th></tr></thead><tbody>
${shown.map((layer) => html`<tr><td>${layer.layer}${layer.intervenes ? '' : ' (no intervention)'}</td><td class="number">${fixed(layer.norm, 2)}</td><td class="number">${fixed(layer.moved, 3)}</td><td class="number">${fixed(layer.projectionChange, 3)}</td><td class="number">${fixed(layer.gradientCosine?.without ?? null, 3)}</td><td class="number">${fixed(layer.gradientCosine?.with ?? null, 3)}</td></tr>`)}
</tbody></table></figure>`;
}

function penaltySection(steps: readonly TrainStep[]): SafeHtml | null {
  const names = [...new Set(steps.flatMap(({ penalties }) => Object.keys(penalties ?? {})))];
  if (names.length === 0) return null;
  const lines = names.map((name) => series(name, steps, ({ penalties }) => penalties?.[name]));
  return html`<h2>Further terms of the loss</h2>
<figure>${lineChart({ title: 'Further terms of the loss by step', series: lines, fromZero: true })}</figure>`;
}

function configSection({ manifest }: TrainReportData): SafeHtml {
  const rows = Object.entries(manifest.config).map(([name, value]) => [name, JSON.stringify(value)] as const);
  const shorten = (text: string): string => (text.length > 400 ? `${text.slice(0, 400)}…` : text);
  return html`<h2>Configuration</h2>
<p class="lead">The training file as it was understood. Equal options on the same machine end in the same bits.</p>
<figure class="scroll"><table class="plain"><tbody>
${rows.map(([name, value]) => html`<tr><td>${name}</td><td>${shorten(value)}</td></tr>`)}
</tbody></table></figure>`;
}
