import type { TextTokenizer } from '../model/tokenizer.ts';
import { baselineOf, calibrated } from '../persona/projection/baseline.ts';
import type { Watched } from '../persona/projection/watch.ts';
import type { Baseline, Distribution } from '../store/baseline-file.ts';
import type { MonitorRow } from '../store/monitor-rows.ts';
import { type SafeHtml, fixed, html } from '../util/html.ts';
import { lineChart } from '../util/line-chart.ts';
import { reportPage } from '../util/report-page.ts';
import type { MonitorResult } from './monitor.ts';
import type { ProjectedTranscript } from './project-transcripts.ts';

/** Conversations that a report shows in full. */
const shownConversations = 12;
/** Tokens of one that are coloured; a page of more is slow to open. */
const shownTokens = 3000;
/** Curves that can be told apart. */
const shownVectors = 4;

interface Shown {
  readonly row: MonitorRow;
  readonly one: ProjectedTranscript;
}

/** Keeps the conversations that deviate most, as they come, with the tokens that a report colours. */
export class MonitorReport {
  private readonly shown: Shown[] = [];

  add(row: MonitorRow, one: ProjectedTranscript): void {
    this.shown.push({ row, one });
    this.shown.sort((a, b) => severity(b.row) - severity(a.row) || a.row.line - b.row.line);
    this.shown.length = Math.min(this.shown.length, shownConversations);
  }

  /** The page: what was found, the lines by turn, and the text with every token's colour. */
  render(result: MonitorResult, scene: ReportScene): string {
    const { watched, modelId } = scene;
    const body = html`${findingSection(result, scene)}
${alertTable(result)}
${this.shown.map((shown) => conversationSection(shown, result, scene))}
<footer>Projections are h·v/‖v‖ of the residual stream. “Before” is read at the last token before a reply, or at the end of its thought; “reply” is the mean over its words. All numbers of this page lie in ${result.output}.</footer>`;
    return reportPage({
      title: `Monitoring of ${modelId}`,
      overline: `Monitoring · ${modelId}`,
      heading: watched.map(({ name }) => name).join(', '),
      body,
    });
  }
}

export interface ReportScene {
  readonly modelId: string;
  readonly watched: readonly Watched[];
  readonly baseline: Baseline | undefined;
  readonly tokenizer: TextTokenizer;
}

/** Alerts first, then by the highest score of any turn. */
function severity({ alerts, turns }: MonitorRow): number {
  const scores = turns.flatMap(({ vectors }) =>
    Object.values(vectors).map(({ mean, before }) =>
      Math.abs((mean ?? before).z ?? (mean ?? before).projection),
    ),
  );
  return 1000 * alerts.length + Math.max(0, ...scores);
}

function findingSection(
  { rows, rule, reading, skipped, notes }: MonitorResult,
  { baseline }: ReportScene,
): SafeHtml {
  const drifted = rows.filter(({ alerts }) => alerts.length > 0).length;
  const turns = rows.reduce((sum, row) => sum + row.turns.length, 0);
  const headline =
    baseline === undefined
      ? `${rows.length} conversations with ${turns} turns were projected. Without a baseline nothing says what is usual, and there are no alerts.`
      : `${drifted} of ${rows.length} conversations with ${turns} turns drifted.`;
  const what = reading === 'mean' ? 'the mean of each reply' : 'the state before each reply';
  const remarks = [
    ...(baseline === undefined
      ? []
      : [
          `Drift: CUSUM on the z-scores of ${what}, slack ${rule.slack}, limit ${rule.limit}, direction ${rule.direction}.`,
          `Baseline: ${baseline.conversations} conversations with ${baseline.turns} turns of ${baseline.input}.`,
        ]),
    ...(skipped > 0 ? [`${skipped} conversations could not be run and were left out.`] : []),
    ...notes,
  ];
  const tone = drifted > 0 ? 'warn' : 'plain';
  return html`<section class="finding tone-${tone}"><div class="verdict">${drifted > 0 ? '! Drift' : '– No drift'}</div><p>${headline}</p><ul>${remarks.map((line) => html`<li>${line}</li>`)}</ul></section>`;
}

function alertTable({ rows }: MonitorResult): SafeHtml | null {
  const alerts = rows.flatMap(({ id, alerts: own }) => own.map((alert) => ({ id, ...alert })));
  if (alerts.length === 0) return null;
  return html`<h2>Alerts</h2><figure class="scroll"><table class="plain"><thead><tr><th>conversation</th><th>vector</th><th class="number">from turn</th><th class="number">drift</th><th class="number">z</th><th class="number">percentile</th></tr></thead>
<tbody>${alerts.slice(0, 200).map((one) => html`<tr><td>${one.id}</td><td>${one.vector}</td><td class="number">${one.turn}</td><td class="number">${one.direction === 'up' ? '↑' : '↓'} ${fixed(one.drift)}</td><td class="number">${fixed(one.z, 2)}</td><td class="number">${fixed(one.percentile)}</td></tr>`)}</tbody></table>${alerts.length > 200 ? html`<figcaption>The first 200 of ${alerts.length}.</figcaption>` : null}</figure>`;
}

function conversationSection({ row, one }: Shown, result: MonitorResult, scene: ReportScene): SafeHtml {
  const calibratedRun = scene.baseline !== undefined;
  const names = scene.watched.map(({ name }) => name);
  const ranked = names
    .map((name, v) => ({
      name,
      v,
      most: Math.max(...row.turns.map((turn) => Math.abs(valueOf(turn, name) ?? 0))),
    }))
    .sort((a, b) => b.most - a.most || a.v - b.v)
    .slice(0, shownVectors);
  const series = ranked.map(({ name }) => ({
    name,
    points: row.turns.flatMap((turn): [number, number][] => {
      const value = valueOf(turn, name);
      return value === null ? [] : [[turn.turn, value]];
    }),
  }));
  const unit = calibratedRun ? 'z-score' : 'projection';
  const read = result.reading === 'mean' ? 'the reply' : 'the state before it';
  return html`<h2><bdi>${row.id}</bdi></h2>
<p class="lead">${row.turns.length} turns, ${row.tokens} tokens. ${row.alerts.map(({ vector, turn }) => `${vector} drifts from turn ${turn}. `)}</p>
<figure>${lineChart({ title: `${unit} by turn`, series })}<figcaption>${unit} of ${read}, by turn${names.length > ranked.length ? `; the ${ranked.length} of ${names.length} vectors that deviate most` : ''}</figcaption></figure>
${ranked.map(({ name, v }, i) => tokenMap(one, { name, v, open: i === 0 }, scene))}`;
}

/** What is drawn of a turn: the reply where there is one. */
function valueOf({ vectors }: MonitorRow['turns'][number], name: string): number | null {
  const { mean, before } = vectors[name]!;
  const shown = mean ?? before;
  return shown.z ?? shown.projection;
}

function tokenMap(
  { row, projected }: ProjectedTranscript,
  { name, v, open }: { readonly name: string; readonly v: number; readonly open: boolean },
  { watched, baseline, tokenizer }: ReportScene,
): SafeHtml {
  const usual = baseline === undefined ? null : baselineOf(baseline, watched[v]!).places.response_token;
  const values = row.ids.map((_, i) => projected.tokens[i * watched.length + v]!);
  const inReply = (i: number): boolean => row.turns.some(({ start, end }) => i >= start && i < end);
  const scale = Math.max(...values.filter((_, i) => inReply(i)).map(Math.abs), 1e-9);
  const decoder = tokenizer.streamDecoder();
  const spans = row.ids.slice(0, shownTokens).map((id, i) => {
    const text = decoder.push(id);
    return text === '' ? null : tokenSpan(text, values[i]!, { usual, scale, inReply: inReply(i) });
  });
  const cut = row.ids.length > shownTokens ? ` The first ${shownTokens} of ${row.ids.length} tokens.` : '';
  return html`<details${open ? html` open` : null}><summary>${name}, token by token</summary><figure><div class="tokens" dir="auto">${spans}</div><figcaption>Green above what is usual, amber below; ${usual === null ? 'the deepest colour is the largest projection of a reply' : 'the deepest colour is four standard deviations'}.${cut}</figcaption></figure></details>`;
}

function tokenSpan(
  text: string,
  value: number,
  {
    usual,
    scale,
    inReply,
  }: { readonly usual: Distribution | null; readonly scale: number; readonly inReply: boolean },
): SafeHtml {
  if (!inReply) return html`<span class="frame" style="--depth:0">${text}</span>`;
  const score = usual === null ? null : calibrated(value, usual).z;
  const depth = score === null ? value / scale : score / 4;
  const size = Math.min(1, Math.abs(depth)).toFixed(2);
  const title = score === null ? value.toFixed(2) : `${value.toFixed(2)}, z ${score.toFixed(2)}`;
  return html`<span class="${depth < 0 ? 'down' : 'up'}" style="--depth:${size}" title="${title}">${text}</span>`;
}
