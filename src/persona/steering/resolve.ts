import type { Condition, Intervention, Positions } from '../../engine/types.ts';
import { planInterventions } from '../../engine/interventions.ts';
import { UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { type Baseline, readBaseline } from '../../store/baseline-file.ts';
import { valueAt } from '../projection/baseline.ts';
import { checkVectorFits, originNotes } from '../projection/watch.ts';
import { readModelNote } from '../model-note.ts';
import { coefficientOf, type StrengthUnit } from '../strength.ts';
import { DEFAULT_VECTOR_FOLDER, loadVector } from '../vector-folder.ts';
import type { PersonaVector } from '../vector.ts';
import type {
  AddEntry,
  ClampEntry,
  SteeringCondition,
  SteeringEntry,
  SteeringSpec,
  Threshold,
} from './spec.ts';

export interface ResolveOptions {
  /** Where the spec names no folder of vectors; default `runs`. */
  readonly vectors?: string | undefined;
  /** Where the spec names no baseline. */
  readonly baseline?: Baseline | undefined;
}

/** A spec as the engine takes it. */
export interface ResolvedSteering {
  readonly interventions: readonly Intervention[];
  readonly history: 'clean' | 'steered';
  /** The vectors that are added, with what of them: what a cross-trait report is made of. */
  readonly additions: readonly Addition[];
  /** What a user should know, in sentences. */
  readonly notes: readonly string[];
}

/** `coef` times a row of a vector, at one layer. */
export interface Addition {
  readonly name: string;
  readonly layer: number;
  readonly coef: number;
  /** `[width]`, what is added `coef` times. */
  readonly vector: Float32Array;
}

/** What a spec becomes on one model. A steering of nothing has no interventions. */
export async function resolveSteering(
  spec: SteeringSpec,
  checkpoint: Pick<Checkpoint, 'id' | 'config' | 'folder' | 'tokenizer'>,
  options: ResolveOptions = {},
): Promise<ResolvedSteering> {
  const baseline = spec.baseline === undefined ? options.baseline : await readBaseline(spec.baseline);
  const { steering } = await readModelNote(checkpoint.folder);
  const scene: Scene = {
    checkpoint,
    folder: spec.vectors ?? options.vectors ?? DEFAULT_VECTOR_FOLDER,
    baseline: baseline ?? null,
    positions: steering.positions ?? 'response',
    loaded: new Map(),
    additions: [],
  };
  const interventions: Intervention[] = [];
  for (const [i, entry] of spec.interventions.entries())
    interventions.push(...(await resolveEntry(entry, scene, `intervention ${i + 1}`)));
  const { notes } = planInterventions(interventions, checkpoint.config, checkpoint.tokenizer !== null);
  const origins = [...scene.loaded.values()].map(({ metadata }) => ({
    name: metadata.trait,
    model: metadata.model,
  }));
  return {
    interventions,
    history: spec.history ?? 'clean',
    additions: scene.additions,
    notes: [...new Set([...originNotes(origins, checkpoint.id), ...notes])],
  };
}

interface Scene {
  readonly checkpoint: Pick<Checkpoint, 'id' | 'config'>;
  readonly folder: string;
  readonly baseline: Baseline | null;
  readonly positions: Positions;
  /** By reference and pooling. */
  readonly loaded: Map<string, PersonaVector>;
  readonly additions: Addition[];
}

/** A vector as an entry gives it: with all its layers, or one row of numbers. */
type Source =
  | { readonly vector: PersonaVector; readonly name: string }
  | { readonly row: Float32Array; readonly name: string };

async function resolveEntry(entry: SteeringEntry, scene: Scene, where: string): Promise<Intervention[]> {
  const source = await sourceOf(entry, scene, where);
  const layers = layersOf(entry, source, scene, where);
  const when =
    entry.when === undefined
      ? {}
      : { when: await conditionOf(entry.when, { entry, source, layers }, scene, where) };
  const place = { positions: entry.positions ?? scene.positions, ...when };
  const incremental = entry.layer === 'all' && isAddition(entry);
  return layers.map((layer): Intervention => {
    const target = { layer, vector: rowAt(source, layer, incremental), ...place };
    if (isAddition(entry)) return addition(entry, { source, incremental, where }, target, scene);
    if ('ablate' in entry) return { ...target, ablate: true };
    return { ...target, ...bounds(entry, thresholdReader(scene, source.name, layer, where)) };
  });
}

async function sourceOf(
  { vector, pooling }: Pick<SteeringEntry, 'vector' | 'pooling'>,
  scene: Scene,
  where: string,
): Promise<Source> {
  if (typeof vector !== 'string') {
    if (pooling !== undefined)
      throw new UsageError(`${where}: expected no pooling beside a vector's numbers.`);
    return { row: Float32Array.from(vector), name: 'given' };
  }
  const key = JSON.stringify([vector, pooling]);
  const loaded = scene.loaded.get(key) ?? (await loadVector(vector, { folder: scene.folder, pooling }));
  checkVectorFits(loaded, scene.checkpoint, JSON.stringify(vector));
  scene.loaded.set(key, loaded);
  return { vector: loaded, name: loaded.metadata.trait };
}

function layersOf(entry: SteeringEntry, source: Source, { checkpoint }: Scene, where: string): number[] {
  const { layer } = entry;
  if (layer === 'all') {
    if ('row' in source && isAddition(entry))
      throw new UsageError(
        `${where}: "all" layers need a vector file, whose rows differ from layer to layer.`,
      );
    return Array.from({ length: checkpoint.config.layers }, (_, i) => i + 1);
  }
  if (layer !== undefined) return typeof layer === 'number' ? [layer] : [...layer];
  return [recommendedLayer(source, where)];
}

function recommendedLayer(source: Source, where: string): number {
  const layer = 'row' in source ? null : source.vector.metadata.recommendedLayer;
  if (layer !== null) return layer;
  throw new UsageError(`${where}: expected a "layer", since the vector recommends none.`);
}

/** v_l, or what a layer adds to it, v_l − v_{l−1}: an earlier layer's share is in the stream already. */
function rowAt(source: Source, layer: number, incremental: boolean): Float32Array {
  if ('row' in source) return source.row;
  if (layer > source.vector.layers || layer < 1) return source.vector.row(1);
  const row = source.vector.row(layer);
  if (!incremental) return row;
  const before = source.vector.row(layer - 1);
  return row.map((value, i) => value - before[i]!);
}

function isAddition(entry: SteeringEntry): entry is AddEntry {
  return 'coef' in entry || 'norm' in entry || 'fraction' in entry;
}

function addition(
  entry: AddEntry,
  { source, incremental, where }: { source: Source; incremental: boolean; where: string },
  target: { readonly layer: number; readonly vector: Float32Array },
  scene: Scene,
): Intervention {
  // Over all layers the sum of what is added is v at the last: the strength is meant there where the vector is best.
  const scaledAt = incremental ? recommendedOrLast(source) : target.layer;
  const coef = coefOf(entry, source, scaledAt, where);
  scene.additions.push({ name: source.name, layer: target.layer, coef, vector: target.vector });
  return { ...target, coef, ...(entry.keep_norm === true && { keepNorm: true }) };
}

function recommendedOrLast(source: Source): number {
  if ('row' in source) return 1;
  return source.vector.metadata.recommendedLayer ?? source.vector.layers;
}

function coefOf(entry: AddEntry, source: Source, layer: number, where: string): number {
  const [strength, unit]: [number, StrengthUnit] =
    'coef' in entry
      ? [entry.coef, 'coef']
      : 'norm' in entry
        ? [entry.norm, 'norm']
        : [entry.fraction, 'fraction'];
  if (unit === 'coef' || strength === 0) return strength;
  if ('vector' in source) return coefficientOf(source.vector, layer, strength, unit);
  if (unit === 'fraction')
    throw new UsageError(
      `${where}: a vector's numbers do not say how long the residual stream is; give "coef" or "norm".`,
    );
  return strength / Math.hypot(...source.row);
}

type ReadThreshold = (threshold: Threshold) => number;

function bounds(entry: ClampEntry, read: ReadThreshold): { readonly min?: number; readonly max?: number } {
  if ('cap' in entry) return { max: read(entry.cap) };
  if ('floor' in entry) return { min: read(entry.floor) };
  if ('pin' in entry) return { min: read(entry.pin), max: read(entry.pin) };
  const { min, max } = entry as { readonly min?: Threshold; readonly max?: Threshold };
  return { ...(min !== undefined && { min: read(min) }), ...(max !== undefined && { max: read(max) }) };
}

/** Percentiles and z-scores of thresholds are those of single reply tokens, since that is what is clamped and compared. */
function thresholdReader({ baseline }: Scene, name: string, layer: number, where: string): ReadThreshold {
  return (threshold) => {
    if (typeof threshold === 'number') return threshold;
    if (baseline === null)
      throw new UsageError(
        `${where}: a percentile or z-score needs a "baseline"; make one with \`persona calibrate\`.`,
      );
    return valueAt(baseline, { name, layer }, 'response_token', threshold, where);
  };
}

async function conditionOf(
  when: SteeringCondition,
  own: { readonly entry: SteeringEntry; readonly source: Source; readonly layers: readonly number[] },
  scene: Scene,
  where: string,
): Promise<Condition> {
  const reference = when.vector;
  const source =
    reference === undefined ? own.source : await sourceOf({ ...when, vector: reference }, scene, where);
  const ownLayer = reference === undefined && own.layers.length === 1 ? own.layers[0] : undefined;
  const layer = when.layer ?? ownLayer ?? recommendedLayer(source, `${where}, "when"`);
  const read = thresholdReader(scene, source.name, layer, `${where}, "when"`);
  return {
    layer,
    vector: rowAt(source, layer, false),
    ...(when.above !== undefined && { above: read(when.above) }),
    ...(when.below !== undefined && { below: read(when.below) }),
  };
}
