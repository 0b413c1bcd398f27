import { planInterventions } from '../engine/interventions.ts';
import type { Intervention } from '../engine/types.ts';
import { DataError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { JsonValue } from '../store/schema.ts';
import { unusableReason } from '../store/vector-file.ts';
import type { PenaltyEntry, SteeringEntry } from './config-schema.ts';
import { type TrainConfig, klWeightOf } from './config.ts';
import { type Directions, directionAt, directionHash, loadDirections, usableLayers } from './directions.ts';
import type { ProjectionPenalty } from './types.ts';

/** What acts on the residual stream while training, its vectors read. */
export interface ResolvedSteering {
  readonly interventions: readonly Intervention[];
  readonly penalty: ProjectionPenalty | null;
  readonly klWeight: number;
  /** The same for a recipe: strengths, layers and the hashes of the vectors. */
  readonly recipe: JsonValue;
  readonly notices: readonly string[];
}

/**
 * Reads the vectors that a configuration names and makes its interventions.
 *
 * @throws DataError for an entry that says none or several things; ParseError, ModelError or UsageError for a vector that
 *   cannot be read, does not fit the model, or has no direction at a layer.
 */
export async function resolveSteering(
  config: TrainConfig,
  checkpoint: Checkpoint,
): Promise<ResolvedSteering> {
  const notices: string[] = [];
  const interventions: Intervention[] = [];
  for (const [name, entry] of entriesOf(config)) {
    const source = await sourceOf(entry, checkpoint);
    interventions.push(...toInterventions(entry, source, name, checkpoint.config.layers));
    if (entry.layers === 'all' && source.kind === 'file') notices.push(...unsteered(source.directions));
  }
  const { notes } = planInterventions(interventions, checkpoint.config, checkpoint.tokenizer !== null);
  const penalty = config.penalty === null ? null : await resolvePenalty(config.penalty, checkpoint);
  const klWeight = klWeightOf(config);
  return {
    interventions,
    penalty,
    klWeight,
    recipe: { interventions: interventions.map(describe), penalty: describePenalty(penalty), kl: klWeight },
    notices: [...notices, ...notes],
  };
}

/** The entries of `steering_config` and `steering`, with how messages name them. */
function entriesOf(config: TrainConfig): [string, SteeringEntry][] {
  const { steering_config: paper, enable_steering_during_training: enabled } = config;
  const own = config.steering.map((entry, i): [string, SteeringEntry] => [`steering entry ${i + 1}`, entry]);
  if (!enabled || paper === null) return own;
  const target = { vector: paper.steering_vector_path, layers: paper.layers, positions: 'all' as const };
  const entry: SteeringEntry =
    paper.type === 'steer' ? { ...target, coef: paper.steering_coef } : { ...target, ablate: true };
  return [['steering_config', entry], ...own];
}

/** Where the numbers of an entry come from. */
type Source =
  | { readonly kind: 'file'; readonly directions: Directions }
  | { readonly kind: 'numbers'; readonly vector: Float32Array };

async function sourceOf(
  { vector, pooling }: Pick<SteeringEntry, 'vector' | 'pooling'>,
  checkpoint: Checkpoint,
): Promise<Source> {
  if (typeof vector !== 'string') return { kind: 'numbers', vector: Float32Array.from(vector) };
  return { kind: 'file', directions: await loadDirections(vector, checkpoint.config, pooling) };
}

function toInterventions(
  entry: SteeringEntry,
  source: Source,
  name: string,
  modelLayers: number,
): Intervention[] {
  const refuse = (problem: string): never => {
    throw new DataError(`${name}: ${problem}.`, { details: { entry: name } });
  };
  const { coef, ablate, min, max, incremental = false, positions = 'all' } = entry;
  const kinds = [coef !== undefined, ablate !== undefined, min !== undefined || max !== undefined];
  if (kinds.filter(Boolean).length !== 1)
    refuse(
      `expected exactly one of "coef", "ablate": true, or "min"/"max", got ${kinds.some(Boolean) ? 'several' : 'none of them'}`,
    );
  if (incremental && (coef === undefined || source.kind === 'numbers'))
    refuse(
      '"incremental" adds differences between the layers of a vector file, so it needs "coef" and a file',
    );
  const layers = layersOf(entry, source, modelLayers, refuse);
  return layers.map((layer): Intervention => {
    const vector = vectorAt(source, layer, incremental);
    if (coef !== undefined) return { layer, vector, coef, positions };
    if (ablate === true) return { layer, vector, ablate, positions };
    return {
      layer,
      vector,
      positions,
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
    };
  });
}

function layersOf(
  { layer, layers }: Pick<SteeringEntry, 'layer' | 'layers'>,
  source: Source,
  modelLayers: number,
  refuse: (problem: string) => never,
): readonly number[] {
  if ((layer === undefined) === (layers === undefined))
    return refuse(`expected one of "layer" and "layers", got ${layer === undefined ? 'neither' : 'both'}`);
  if (layer !== undefined) return [layer];
  if (layers !== 'all') return layers ?? [];
  if (source.kind === 'file') return usableLayers(source.directions);
  return Array.from({ length: modelLayers }, (_, i) => i + 1);
}

/** v_l, or v_l − v_{l−1}: what layer l itself adds to the direction, with layer 0 for the embeddings. */
function vectorAt(source: Source, layer: number, incremental: boolean): Float32Array {
  if (source.kind === 'numbers') return source.vector;
  const vector = directionAt(source.directions, layer);
  if (!incremental) return vector;
  const before = directionAt(source.directions, layer - 1);
  return vector.map((value, i) => value - before[i]!);
}

async function resolvePenalty(entry: PenaltyEntry, checkpoint: Checkpoint): Promise<ProjectionPenalty> {
  const source = await sourceOf(entry, checkpoint);
  const refuse = (problem: string): never => {
    throw new DataError(`penalty: ${problem}.`, { details: { entry: 'penalty' } });
  };
  const layers = layersOf(entry, source, checkpoint.config.layers, refuse);
  const directions = layers.map((layer) => ({ layer, vector: vectorAt(source, layer, false) }));
  // The same checks of layer, width and numbers as for an intervention that needs a direction.
  const asAblations = directions.map((direction) => ({ ...direction, ablate: true as const }));
  planInterventions(asAblations, checkpoint.config, checkpoint.tokenizer !== null);
  return { weight: entry.weight, directions };
}

function describe(intervention: Intervention): JsonValue {
  // Conditions are refused when the trainer is made; see `planStep`.
  const { vector, when: _, ...rest } = intervention;
  return { ...rest, vector_sha256: directionHash(vector) };
}

function describePenalty(penalty: ProjectionPenalty | null): JsonValue {
  if (penalty === null) return null;
  const directions = penalty.directions.map(({ layer, vector }) => ({
    layer,
    vector_sha256: directionHash(vector),
  }));
  return { weight: penalty.weight, directions };
}

/** A notice of the layers that "all" leaves out, with the reason of the first. */
function unsteered(directions: Directions): string[] {
  const usable = usableLayers(directions);
  const missing = Array.from({ length: directions.layers }, (_, i) => i + 1).filter(
    (l) => !usable.includes(l),
  );
  const [first] = missing;
  if (first === undefined) return [];
  const reason = unusableReason(directions, first);
  return [
    `"${directions.file}" cannot steer at layer ${missing.join(', ')} (${reason}); the other layers are steered.`,
  ];
}
