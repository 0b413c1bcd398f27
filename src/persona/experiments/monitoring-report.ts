import { frame, linear, px, roundRange, rules } from '../../util/chart.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { lineChart } from '../../util/line-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import type { MonitoringExperiment } from './monitoring.ts';
import type { Correlation, MethodResult, MonitoringPoint } from './monitoring-results.ts';

const names = { system: 'graded system prompts', shots: 'exemplars in the context' } as const;

/** The experiment as a page: what foretells what, point by point, and beside random directions. */
export function renderMonitoringReport(result: MonitoringExperiment): string {
  const { trait, model, layer, pooling, samples, notes } = result;
  const body = html`<p class="lead">Does the state before a reply foretell the trait in it? Each point is one question under one condition: across, the projection of the last prompt token on the ${trait} vector (<code>${pooling}</code>, layer ${layer}); up, the mean score of ${samples} replies.</p>
${notes.length === 0 ? null : html`<ul class="note">${notes.map((line) => html`<li>${line}</li>`)}</ul>`}
${result.methods.map((method) =>
  methodSection(
    method,
    result.points.filter((point) => point.method === method.method),
  ),
)}
<h2>By layer</h2>
<p class="lead">Overall r of the graded prompts at every layer. The layer of this experiment, ${layer}, was given by the vector; it was not chosen by this picture.</p>
<figure>${lineChart({ title: 'r by layer', series: [{ name: 'r', points: result.by_layer.flatMap((r, i): [number, number][] => (r === null ? [] : [[i + 1, r]])) }] })}</figure>
<footer>All numbers of this page lie beside it in monitoring.json, all replies in rollouts.jsonl.</footer>`;
  const title = `${trait} in ${model}: monitoring`;
  return reportPage({ title, overline: `Monitoring experiment · ${model}`, heading: trait, body });
}

function methodSection(result: MethodResult, points: readonly MonitoringPoint[]): SafeHtml {
  const { method, overall, within, varying, conditions, random } = result;
  return html`<h2>${names[method]}</h2>
<figure>${scatter(points)}<figcaption>Amber: ${method === 'system' ? 'the prompt that discourages the trait most' : 'no exemplar'}. Green: ${method === 'system' ? 'the one that encourages it most' : 'the most exemplars'}.</figcaption></figure>
<figure><table class="plain"><tbody>
<tr><td>overall r</td><td class="number">${interval(overall)}</td></tr>
<tr><td>within conditions, mean of ${varying} of ${conditions} whose scores vary</td><td class="number">${interval(within)}</td></tr>
<tr><td>95th percentile of |r| of ${random.directions} random directions</td><td class="number">${fixed(random.r95, 3)}</td></tr>
<tr><td>random directions with a smaller |r|</td><td class="number">${fixed(random.percentile)} %</td></tr>
</tbody></table><figcaption>95 % intervals: bootstrap over questions.</figcaption></figure>`;
}

function interval({ r, lower, upper }: Correlation): string {
  return `${fixed(r, 3)} (${fixed(lower, 3)} to ${fixed(upper, 3)})`;
}

function scatter(points: readonly MonitoringPoint[]): SafeHtml {
  const [top, bottom, height] = [16, 330, 372];
  const values = points.map(({ projection }) => projection);
  const [low, high, step] = roundRange(Math.min(...values), Math.max(...values));
  const x = linear(low, high, frame.left + 10, frame.width - frame.right - 10);
  const y = linear(0, 100, bottom, top);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  const levels = [...new Set(points.map(({ level }) => level))].sort((a, b) => a - b);
  const share = (level: number): number => (100 * levels.indexOf(level)) / Math.max(1, levels.length - 1);
  return html`<svg class="chart" viewBox="0 0 ${frame.width} ${height}" role="img" aria-label="Score by projection">
    ${rules([0, 25, 50, 75, 100], y)}
    ${ticks.map((tick) => html`<text class="tick middle" x="${px(x(tick))}" y="${bottom + 18}">${Number(tick.toPrecision(6))}</text>`)}
    ${points.map(({ condition, question, projection, score, level }) =>
      score === null
        ? null
        : html`<circle cx="${px(x(projection))}" cy="${px(y(score))}" r="4" style="fill:color-mix(in srgb, var(--pos) ${share(level).toFixed(0)}%, var(--neg));opacity:.8"><title>${condition}, question ${question + 1}: projection ${fixed(projection, 2)}, score ${fixed(score)}</title></circle>`,
    )}
    <text class="caption middle" x="${frame.width / 2}" y="${height - 2}">projection of the last prompt token</text>
  </svg>`;
}
