import { basename } from 'node:path';
import type { ScreenManifest, ScreenTrait } from '../../store/screen-schema.ts';
import { linear, px, roundRange } from '../../util/chart.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { reportPage, tile } from '../../util/report-page.ts';
import type { RankedRow } from './differences.ts';
import { histogram } from './histogram.ts';
import type { Merged } from './merge.ts';
import type { ColouredReply } from './token-colours.ts';

export interface ScreenReportData {
  readonly manifest: ScreenManifest;
  readonly merged: Merged;
  readonly colours: readonly (readonly ColouredReply[])[];
}

/** Samples of a trait that are shown in full, and characters of each of their texts. */
const shownSamples = 8;
const shownCharacters = 900;

const modeWords = {
  auto: "a reply's mean projection less that of the model's own reply to the same prompt, estimated from the state before it where that suffices",
  full: "a reply's mean projection less that of the model's own reply to the same prompt",
  'prompt-last': "a reply's mean projection less that of the last prompt token",
  raw: "a reply's mean projection, compared with nothing",
} as const;

/** The report of a screening: one HTML page without scripts that asks for nothing from elsewhere, all text in it escaped. */
export function renderScreenReport(data: ScreenReportData): string {
  const { manifest } = data;
  const { counts } = manifest;
  const left = ['empty', 'long', 'refused', 'bad'].reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const body = html`<p class="lead">Every sample's difference is ${modeWords[manifest.mode]}, along each trait's vector in ${manifest.model.id}. High samples are those that training on them would move most towards the trait.</p>
<dl class="tiles">
${tile('Samples', whole(counts['samples'] ?? 0), `${counts['rows'] ?? 0} rows, taken for ${manifest.schema_of_rows}`)}
${tile('Flagged', whole(counts['flagged'] ?? 0), 'for one trait or more')}
${tile('Left out', whole(left), `${counts['empty'] ?? 0} empty, ${counts['long'] ?? 0} too long, ${counts['refused'] ?? 0} refused by the template, ${counts['bad'] ?? 0} not readable`)}
</dl>
<h2>The data set</h2>
<p class="lead">Mean difference with its 95 % interval, over all samples and by source. What lies above 0 is more of the trait than ${hasOwn(manifest) ? "the model's own replies have" : 'what it is compared with'}.</p>
${manifest.traits.map(intervalFigure)}
${manifest.traits.map((trait, i) => traitSection(data, trait, i))}
<footer>${manifest.package.name} ${manifest.package.version}. Every sample's numbers lie beside this page in scored.jsonl and scored.parquet; what was flagged, kept, highest, lowest and drawn at random in files of their own.</footer>`;
  const { files, mode, model } = manifest;
  return reportPage({
    title: `Screening by ${model.id}`,
    overline: `Screening · ${mode}`,
    heading: files.length === 1 ? basename(files[0]!) : `${files.length} files`,
    body,
  });
}

function whole(count: number): string {
  return count.toLocaleString('en-US');
}

/** A row a source: its mean as a dot on a line from the interval's one end to the other. */
function intervalFigure({ name, layer, difference, sources }: ScreenTrait): SafeHtml {
  const all = [{ source: 'all samples', difference }, ...(sources.length > 1 ? sources.slice(0, 20) : [])];
  const ends = all.flatMap(({ difference: { mean, lower, upper } }) => [
    lower ?? mean ?? 0,
    upper ?? mean ?? 0,
  ]);
  const [low, high, step] = roundRange(Math.min(0, ...ends), Math.max(0, ...ends));
  const [width, left, row] = [880, 250, 24];
  const height = all.length * row + 28;
  const x = linear(low, high, left, width - 16);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return html`<figure><h3>${name} (layer ${layer})</h3><svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Mean difference on ${name} by source">
${ticks.map((tick) => html`<line class="rule" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="0" y2="${height - 22}"/><text class="tick middle" x="${px(x(tick))}" y="${height - 6}">${Number(tick.toPrecision(6))}</text>`)}
<line class="axis" x1="${px(x(0))}" x2="${px(x(0))}" y1="0" y2="${height - 22}"/>
${all.map(({ source, difference: { mean, lower, upper } }, i) => {
  const y = i * row + row / 2;
  const label = source.length > 34 ? `…${source.slice(-33)}` : source;
  return html`<text class="end" x="${left - 10}" y="${y + 4}">${label}</text><line class="whisker" x1="${px(x(lower ?? mean ?? 0))}" x2="${px(x(upper ?? mean ?? 0))}" y1="${y}" y2="${y}"/><circle class="dot" cx="${px(x(mean ?? 0))}" cy="${y}" r="4"><title>${fixed(mean, 3)}</title></circle>`;
})}
</svg></figure>`;
}

function traitSection(
  { manifest, merged, colours }: ScreenReportData,
  trait: ScreenTrait,
  index: number,
): SafeHtml {
  const flagged =
    trait.judge === null
      ? html`${trait.flagged} samples lie at ${fixed(trait.threshold, 3)} or above and are flagged.`
      : html`${trait.flagged} samples are flagged: ${trait.judge.by_difference} lie at ${fixed(trait.threshold, 3)} or above, ${trait.judge.by_judge} have a judge's score of ${fixed(trait.judge.threshold, 1)} or more (${trait.judge.id}), ${trait.judge.by_both} both.`;
  const above = html`${flagged}${autoWords(manifest, index)}${knownWords(trait)}`;
  return html`<h2>${trait.name}</h2>
<p class="lead">${above}</p>
<figure><h3>Samples by their difference</h3>${histogram(trait, merged.differences, index)}<figcaption>Share of the samples${trait.sources.length > 1 ? ' of each source' : ''} in each step.</figcaption></figure>
<h3>The highest samples, token by token</h3>
<p class="note">Green: a token's projection lies above that of the last prompt token; orange: below it. The deeper, the further.</p>
${(colours[index] ?? []).map(heatMap)}
<h3>The highest samples</h3>
<div class="scroll"><table class="plain"><thead><tr><th class="number">difference</th><th>prompt</th><th>reply in the data</th>${hasOwn(manifest) ? html`<th>the model's own reply</th>` : null}</tr></thead><tbody>
${merged.top[index]!.slice(0, shownSamples).map((row) => sampleRow(row, index, hasOwn(manifest)))}
</tbody></table></div>`;
}

function autoWords({ auto }: ScreenManifest, index: number): string {
  if (auto === null) return '';
  const { agreement, r } = auto.traits[index]!;
  return ` Of a random control of ${auto.control}, ${fixed(100 * agreement, 1)} % are flagged, or not, as they would be with all samples in mode full; its differences by both modes correlate with r ${fixed(r, 2)}.`;
}

function knownWords({ known }: ScreenTrait): string {
  if (known === null) return '';
  return ` Of ${known.rows} rows that are known to show the trait, ${known.flagged} are among them; AUROC ${fixed(known.auroc, 3)}.`;
}

function hasOwn({ mode }: ScreenManifest): boolean {
  return mode === 'full' || mode === 'auto';
}

function sampleRow({ row, difference }: RankedRow, vector: number, withBase: boolean): SafeHtml {
  const prompt = row.prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
  return html`<tr><td class="number">${fixed(difference[vector]!, 3)}<br><small>${row.id}</small></td><td>${cut(prompt)}</td><td>${cut(row.reply)}</td>${withBase ? html`<td>${cut(row.base_reply ?? '')}</td>` : null}</tr>`;
}

function heatMap({ pieces }: ColouredReply): SafeHtml {
  const most = Math.max(1e-9, ...pieces.map(({ value }) => Math.abs(value)));
  return html`<p class="text tokens">${pieces.map(({ text, value }) => html`<span class="${value >= 0 ? 'up' : 'down'}" style="--depth:${(Math.abs(value) / most).toFixed(2)}" title="${fixed(value, 2)}">${text}</span>`)}</p>`;
}

function cut(text: string): string {
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}
