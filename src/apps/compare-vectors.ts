import { UsageError } from '../errors.ts';
import type { PersonaVector } from '../persona/vector.ts';

/** Two vectors at one layer. */
export interface LayerComparison {
  readonly layer: number;
  /** Null where one of them has no direction. */
  readonly cosine: number | null;
  readonly norms: readonly [number, number];
}

/** Two vectors, layer by layer. */
export interface VectorComparison {
  readonly layers: readonly LayerComparison[];
  /** Over the layers at which both have a direction of the stream; null where there is none. */
  readonly meanCosine: number | null;
  readonly lowest: LayerComparison | null;
  readonly notes: readonly string[];
}

/** Compares two vectors of one shape layer by layer; UsageError for two shapes. */
export function compareVectors(a: PersonaVector, b: PersonaVector): VectorComparison {
  const cosines = a.cosines(b);
  const layers = cosines.map((cosine, layer) => ({
    layer,
    cosine,
    norms: [a.norm(layer), b.norm(layer)] as const,
  }));
  const usable = new Set(a.usableLayers.filter((layer) => b.usableLayers.includes(layer)));
  const counted = layers.filter(({ layer, cosine }) => usable.has(layer) && cosine !== null);
  const sum = counted.reduce((total, { cosine }) => total + cosine!, 0);
  return {
    layers,
    meanCosine: counted.length === 0 ? null : sum / counted.length,
    lowest: counted.reduce<LayerComparison | null>(
      (least, one) => (least === null || one.cosine! < least.cosine! ? one : least),
      null,
    ),
    notes: notesOf(a, b),
  };
}

function notesOf(a: PersonaVector, b: PersonaVector): string[] {
  const [one, other] = [a.metadata, b.metadata];
  const notes: string[] = [];
  if (one.modelFingerprint !== null && other.modelFingerprint !== null) {
    if (one.modelFingerprint !== other.modelFingerprint)
      notes.push(`They belong to different weights (${one.model} and ${other.model}).`);
  }
  if (one.pooling !== other.pooling) {
    const unknown = [one, other].find(({ pooling }) => pooling === 'unknown');
    notes.push(
      unknown === undefined
        ? `They are means of different tokens (${one.pooling} and ${other.pooling}).`
        : `Which tokens ${unknown.trait} is the mean of is not known.`,
    );
  }
  if (one.lastRow !== other.lastRow)
    notes.push(
      `Row ${a.layers} is after the final norm in one of them only, so it is compared but not counted.`,
    );
  return notes;
}

/** Cosine of every vector with every other at one layer; null where one of them has no direction there. */
export function cosineMatrix(vectors: readonly PersonaVector[], layer: number): (number | null)[][] {
  const [first] = vectors;
  if (first === undefined) throw new UsageError('Expected vectors to compare, got none.');
  first.row(layer);
  return vectors.map((a) => vectors.map((b) => a.cosines(b)[layer]!));
}
