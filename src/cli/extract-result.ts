import { describeDropped, describeKept, describeUnscored } from '../persona/filter-words.ts';
import { describeFinding } from '../persona/finding.ts';
import type { TraitOutcome } from '../apps/extract-all.ts';
import type { ExtractResult } from '../persona/extract.ts';
import type { Cell, Sweep } from '../store/result-schema.ts';
import { columns, shortPath, table } from './render.ts';
import { printable, resultColours } from './terminal.ts';

/** Columns that a sentence is broken to. */
const lineWidth = 100;

/** A finished extraction as a person reads it: what was found, the numbers, the files. */
export function describeExtraction(result: ExtractResult): string {
  const { vector, counts, sweep, doseResponse: dose, manifest } = result;
  const { trait, model } = vector.metadata;
  const finding = describeFinding({ trait, model, sweep, dose, judge: manifest.judge });
  const lines: [string, string][] = [
    [counts.mode === 'paired' ? 'pairs kept' : 'kept', describeKept(counts)],
    ['dropped', describeDropped(counts)],
    ['not scored', describeUnscored(counts)],
    ['layer', layerOf(result)],
    ...directionLine(result),
    ['strength', strengthOf(result)],
    ['protocol', protocolOf(result)],
    ['Spearman', dose?.spearman === null || dose === null ? 'not measured' : dose.spearman.toFixed(2)],
    ['run folder', shortPath(result.folder)],
    ['report', shortPath(result.report)],
  ];
  const points = dose === null ? '' : `\n${pointTable(dose.points)}`;
  return `${resultColours.bold(wrap(printable(finding.headline)))}\n${points}\n${table(lines)}`;
}

/** What programs want of a run, under the names of its files. */
export function extractSummary({
  folder,
  vector,
  counts,
  directions,
  sweep,
  doseResponse,
  report,
}: ExtractResult): Record<string, unknown> {
  const { trait, model, pooling, recommendedLayer, recommendedStrength } = vector.metadata;
  return {
    folder,
    trait,
    model,
    pooling,
    counts,
    directions,
    recommended_layer: recommendedLayer,
    recommended_strength: recommendedStrength,
    sweep,
    dose_response: doseResponse,
    report,
  };
}

/** One line a trait: what was kept, what the sweep chose and what that did on other questions, and how much it steers. */
export function describeAll(outcomes: readonly TraitOutcome[]): string {
  const header = [
    'trait',
    'kept',
    'layer',
    'strength',
    'chosen',
    'Spearman',
    'gain',
    'of random directions',
    'verdict',
    'report',
  ];
  const cells = columns([header, ...outcomes.map(outcomeCells)], [0, 8, 9]);
  const legend =
    'chosen: score/coherence on questions that did not choose it; Spearman: of strength and score, and over how many strengths';
  return `${cells}${legend}\n`;
}

function outcomeCells({ trait, result, folder }: TraitOutcome): string[] {
  const name = printable(trait);
  if (result === null) return [name, '–', '–', '–', '–', '–', '–', '–', 'too few kept', shortPath(folder)];
  const { vector, counts, sweep, doseResponse: dose, manifest, report } = result;
  const { model, recommendedLayer } = vector.metadata;
  const { label } = describeFinding({ trait, model, sweep, dose, judge: manifest.judge });
  const [chosen, random] = [dose?.chosen ?? null, dose?.random_interval ?? null];
  return [
    name,
    describeKept(counts),
    String(recommendedLayer ?? dose?.layer ?? '–'),
    String(sweep?.recommended?.strength ?? '–'),
    chosen === null ? '–' : `${known(chosen.score)}/${known(chosen.coherence)}`,
    dose === null || dose.spearman === null ? '–' : `${dose.spearman.toFixed(2)} (${dose.ranked.length})`,
    known(dose?.gain ?? null),
    random === null ? '–' : `${fixed(random.lower)} … ${fixed(random.upper)}`,
    label,
    shortPath(report),
  ];
}

function known(value: number | null): string {
  return value === null ? '–' : fixed(value);
}

/** Breaks a sentence between words. */
export function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > lineWidth) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

/** How near the other directions are to the vector, at the layer that counts. */
function directionLine({ directions, vector, doseResponse }: ExtractResult): [string, string][] {
  if (directions === null) return [];
  const layer = vector.metadata.recommendedLayer ?? doseResponse?.layer ?? Math.ceil(vector.layers / 2);
  const cosines = directions.directions.map(({ kind, cosines: all }) => {
    const value = all[layer] ?? null;
    return `${kind} ${value === null ? '–' : value.toFixed(2)}`;
  });
  return [['cosines', `${cosines.join(', ')} with the vector at layer ${layer}`]];
}

function layerOf({ vector, sweep, doseResponse }: ExtractResult): string {
  const layer = vector.metadata.recommendedLayer ?? doseResponse?.layer ?? sweep?.layer;
  if (layer === undefined) return `1 … ${vector.layers}, none measured`;
  return `${layer} (resid_post of block ${layer} of ${vector.layers})`;
}

function strengthOf({ vector, sweep }: ExtractResult): string {
  const { recommendedStrength } = vector.metadata;
  if (recommendedStrength === null) {
    return sweep === null
      ? 'none measured'
      : `none: no positive strength keeps coherence at ${sweep.coherence_floor}`;
  }
  const times = `${recommendedStrength.toFixed(2)} × the vector`;
  const cell = sweep?.recommended ?? null;
  return cell === null || sweep?.unit === 'coef'
    ? times
    : `${cell.strength} ${units[sweep!.unit]} (${times})`;
}

/** Which tokens the vector is the mean of, and where it is added. */
function protocolOf({ manifest, vector }: ExtractResult): string {
  const { positions } = manifest.recipe as { readonly positions?: string };
  const { pooling } = vector.metadata;
  const papers = pooling === 'response_mean' && positions === 'response';
  return `${pooling}, added at ${positions}${papers ? " (the paper's)" : " (not the paper's response_mean at response)"}`;
}

const units: Readonly<Record<Sweep['unit'], string>> = {
  fraction: "of the residual stream's norm",
  norm: 'in norm',
  coef: '× the vector',
};

/** A dose response's points, with the strength as it was given and as a coefficient. */
export function pointTable(points: readonly Cell[]): string {
  const cells = points.map(({ strength, coef, score, lower, upper, coherence, rollouts }) => [
    String(strength),
    coef.toFixed(2),
    score === null ? '–' : fixed(score),
    lower === null || upper === null ? '–' : `${fixed(lower)} … ${fixed(upper)}`,
    coherence === null ? '–' : fixed(coherence),
    String(rollouts),
  ]);
  return columns([
    ['strength', 'coefficient', 'trait score', '95 % interval', 'coherence', 'rollouts'],
    ...cells,
  ]);
}

function fixed(value: number): string {
  return value.toFixed(1);
}
