import { UsageError } from '../../errors.ts';
import type { Probe } from '../../engine/types.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { loadVector } from '../vector-folder.ts';
import type { PersonaVector } from '../vector.ts';

/** A direction that conversations are projected on: a vector at one layer, under a name of its own. */
export interface Watched extends Probe {
  /** The trait, with what tells it from others of the list. */
  readonly name: string;
  /** 1 … L. */
  readonly layer: number;
  /** `[width]`. */
  readonly vector: Float32Array;
  readonly trait: string;
  /** All layers of it. */
  readonly source: PersonaVector;
  readonly pooling: string;
  /** The model that the vector is from. */
  readonly model: string;
}

/** What of it a projection needs. */
export type Direction = Pick<Watched, 'name' | 'layer' | 'vector'>;

export interface WatchOptions {
  /** Files or names of vectors; see `findVector`. */
  readonly vectors: readonly string[];
  /** Folder in which names are found; default `runs`. */
  readonly folder?: string | undefined;
  /** 1 … L; default: each vector's recommended layer. */
  readonly layer?: number | undefined;
  /** Which pooling's vector; default: the one that each file recommends. */
  readonly pooling?: string | undefined;
}

/**
 * Loads vectors to watch a model by.
 *
 * @throws UsageError where one is of another model's shape, has no recommended layer and none is given, or is zero there.
 */
export async function watchVectors(
  checkpoint: Pick<Checkpoint, 'id' | 'config'>,
  { vectors, folder, layer, pooling }: WatchOptions,
): Promise<Watched[]> {
  if (vectors.length === 0) throw new UsageError('Expected at least one vector, got none.');
  const watched: Watched[] = [];
  for (const reference of vectors) {
    const vector = await loadVector(reference, { folder, pooling });
    watched.push(watch(vector, checkpoint, { reference, layer }));
  }
  return withDistinctNames(watched);
}

/** One vector, checked against the model. */
export function watch(
  vector: PersonaVector,
  checkpoint: Pick<Checkpoint, 'id' | 'config'>,
  options: { readonly reference?: string | undefined; readonly layer?: number | undefined } = {},
): Watched {
  const { trait, pooling, model } = vector.metadata;
  const name = JSON.stringify(options.reference ?? trait);
  checkVectorFits(vector, checkpoint, name);
  const layer = options.layer ?? vector.metadata.recommendedLayer;
  if (layer === null)
    throw new UsageError(
      `Vector ${name} recommends no layer, since its strengths were not measured; say which one, from 1 to ${vector.layers}.`,
      { details: { vector: trait } },
    );
  if (layer < 1 || layer > vector.layers)
    throw new UsageError(`Vector ${name}: expected a layer from 1 to ${vector.layers}, got ${layer}.`);
  if (vector.norm(layer) === 0)
    throw new UsageError(`Vector ${name} is zero at layer ${layer}; choose another layer.`);
  return { name: trait, trait, source: vector, pooling, model, layer, vector: vector.row(layer) };
}

/** UsageError for a vector of another shape than the model's. */
export function checkVectorFits(
  { layers, width, metadata }: PersonaVector,
  { id, config }: Pick<Checkpoint, 'id' | 'config'>,
  name: string,
): void {
  if (layers === config.layers && width === config.width) return;
  throw new UsageError(
    `Vector ${name} is of another model: it has ${layers} layers of width ${width} (from ${metadata.model}), and ${id} has ${config.layers} of width ${config.width}; extract it from this model.`,
    { details: { vector: metadata.trait, model: metadata.model } },
  );
}

/** Sentences for vectors that come from another model of the same shape, such as the one that this was tuned from. */
export function originNotes(watched: readonly Pick<Watched, 'name' | 'model'>[], modelId: string): string[] {
  return watched
    .filter(({ model }) => model !== modelId)
    .map(({ name, model }) => `${name}: the vector is from ${model}, applied to ${modelId}`);
}

/** Equal names get their layers, and if that is not enough their poolings, behind them. */
function withDistinctNames(watched: readonly Watched[]): Watched[] {
  const forms: readonly ((one: Watched) => string)[] = [
    ({ trait }) => trait,
    ({ trait, layer }) => `${trait}@${layer}`,
    ({ trait, layer, pooling }) => `${trait}@${layer}.${pooling}`,
  ];
  for (const form of forms) {
    const names = watched.map(form);
    if (new Set(names).size === names.length) return watched.map((one, i) => ({ ...one, name: names[i]! }));
  }
  throw new UsageError('Expected every vector once, got one twice; leave one of them out.');
}
