import type { SaeFeature } from '../persona/sae-features.ts';
import type { VectorComparison } from '../apps/compare-vectors.ts';
import type { PersonaVector } from '../persona/vector.ts';
import { columns, table } from './render.ts';
import { printable } from './terminal.ts';

/** A vector as a person reads it: where it comes from, what it recommends, its norm at every layer. */
export function describeVector(vector: PersonaVector): string {
  const { metadata, layers, width } = vector;
  const { pairsKept, pairsTotal, recommendedLayer: layer, residualNorms } = metadata;
  const rows: [string, string][] = [
    ['trait', metadata.trait],
    ['model', metadata.model],
    ['shape', `${layers + 1} × ${width}: the embeddings, and the stream after each of ${layers} blocks`],
    ['tokens', metadata.pooling],
    ['method', metadata.method],
    ...(metadata.source === undefined ? [] : [['source', metadata.source] as [string, string]]),
    ['pairs kept', pairsKept === null ? 'not known' : `${pairsKept} of ${pairsTotal ?? 'not known'}`],
    ['recommended', layer === null ? 'nothing measured' : recommendationOf(vector, layer)],
  ];
  const header = ['layer', 'norm', ...(residualNorms === null ? [] : ['of the stream']), ''];
  const lines = Array.from({ length: layers + 1 }, (_, l) => [
    String(l),
    short(vector.norm(l)),
    ...(residualNorms === null ? [] : [share(vector.norm(l), residualNorms[l]!)]),
    remarkOf(vector, l),
  ]);
  return `${table(rows)}\n${columns([header, ...lines], [header.length - 1])}`;
}

/** The same strength in the three units. */
function recommendationOf(vector: PersonaVector, layer: number): string {
  const { recommendedStrength: coef, residualNorms } = vector.metadata;
  if (coef === null) return `layer ${layer}`;
  const norm = coef * vector.norm(layer);
  const fraction = residualNorms === null ? '' : `, ${share(norm, residualNorms[layer]!)} of the stream's`;
  return `layer ${layer} (resid_post of block ${layer} of ${vector.layers}), coefficient ${short(coef)}: a norm of ${short(norm)}${fraction}`;
}

function remarkOf(vector: PersonaVector, layer: number): string {
  const { metadata, layers } = vector;
  if (metadata.absentLayers?.includes(layer) === true) return 'no direction';
  if (layer === layers && metadata.lastRow !== undefined)
    return 'after the final norm, no direction of the stream';
  return layer === metadata.recommendedLayer ? 'recommended' : '';
}

/** For programs, under the names of the file's own metadata. */
export function vectorSummary(vector: PersonaVector): Record<string, unknown> {
  const { metadata, layers, width } = vector;
  const every = Array.from({ length: layers + 1 }, (_, layer) => layer);
  return {
    trait: metadata.trait,
    model: metadata.model,
    layers,
    width,
    pooling: metadata.pooling,
    method: metadata.method,
    source: metadata.source ?? null,
    pairs_kept: metadata.pairsKept,
    pairs_total: metadata.pairsTotal,
    recommended_layer: metadata.recommendedLayer,
    recommended_strength: metadata.recommendedStrength,
    usable_layers: vector.usableLayers,
    norms: every.map((layer) => vector.norm(layer)),
    residual_norms: metadata.residualNorms,
  };
}

/** Two vectors layer by layer. */
export function describeComparison(
  { layers, meanCosine, lowest, notes }: VectorComparison,
  names: readonly [string, string] = ['first', 'second'],
): string {
  const header = ['layer', 'cosine', `norm of ${names[0]}`, `of ${names[1]}`];
  const rows = layers.map(({ layer, cosine, norms }) => [
    String(layer),
    cosine === null ? '–' : digits(cosine, 4),
    ...norms.map(short),
  ]);
  const mean: [string, string][] = [
    ['mean cosine', meanCosine === null ? 'no layer in common' : digits(meanCosine, 4)],
    ...(lowest === null
      ? []
      : [['lowest', `${digits(lowest.cosine!, 4)} at layer ${lowest.layer}`] as [string, string]]),
  ];
  return `${columns([header, ...rows])}\n${table(mean)}${notes.map((line) => `${printable(line)}\n`).join('')}`;
}

/** Cosines of several vectors at one layer. */
export function describeMatrix(
  layer: number,
  names: readonly string[],
  matrix: readonly (readonly (number | null)[])[],
): string {
  const shown = names.map(printable);
  const rows = matrix.map((row, i) => [
    shown[i]!,
    ...row.map((value) => (value === null ? '–' : digits(value, 3))),
  ]);
  return columns([[`layer ${layer}`, ...shown], ...rows], [0]);
}

/** Features of a sparse autoencoder by their cosine with a vector. */
export function describeFeatures(
  trait: string,
  layer: number,
  of: number,
  features: readonly SaeFeature[],
): string {
  const rows = features.map(({ id, cosine }) => [String(id), cosine.toFixed(4)]);
  const title = `${printable(trait)} at layer ${layer}, the first ${features.length} of ${of} features\n`;
  return `${title}\n${columns([['feature', 'cosine'], ...rows])}`;
}

/** Rounded, and without the sign of a 0. */
function digits(value: number, count: number): string {
  const text = value.toFixed(count);
  return Number(text) === 0 ? text.replace('-', '') : text;
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function share(norm: number, whole: number): string {
  return whole === 0 ? '–' : `${((100 * norm) / whole).toFixed(1)} %`;
}
