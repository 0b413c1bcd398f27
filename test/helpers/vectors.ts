import { PersonaVector, type VectorMetadata } from '../../src/persona/vector.ts';

/** A vector of given rows, one a layer from the embeddings on. */
export function vectorOf(
  trait: string,
  rows: readonly (readonly number[])[],
  metadata: Partial<VectorMetadata> = {},
): PersonaVector {
  return new PersonaVector(rows.length - 1, rows[0]!.length, Float32Array.from(rows.flat()), {
    trait,
    model: 'tiny',
    modelRevision: null,
    modelFingerprint: 'fingerprint',
    pooling: 'response_mean',
    method: 'difference_of_means',
    pairsKept: 1,
    pairsTotal: 1,
    threshold: 50,
    residualNorms: null,
    recommendedLayer: null,
    recommendedStrength: null,
    ...metadata,
  });
}
