import { UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import { narrow } from './transformer.ts';
import { dot } from '../util/vectors.ts';
import type { Condition, Intervention, Positions, Probe } from './types.ts';

/** One direction's edit in the form the graph computes: h ← h + (add + clamp(h·d, min, max) − h·d) · d. */
export interface Edit {
  /** `[width]`: the raw vector where the edit only adds, a unit vector where it clamps. */
  readonly direction: Float32Array;
  readonly add: number;
  readonly min: number;
  readonly max: number;
  readonly positions: Positions;
  /** Whether the residual keeps the length that it had before. */
  readonly keepNorm: boolean;
  /** Index of the gate that has to be open; null for none. */
  readonly gate: number | null;
}

/** A condition, ready to be decided: open where `above` < h·u < `below`. */
export interface Gate extends Probe {
  readonly above: number;
  readonly below: number;
}

/** A row's interventions, ready to be fed: `layers.get(l)[stage]` are the edits that act side by side. */
export interface InterventionPlan {
  readonly layers: ReadonlyMap<number, readonly (readonly Edit[])[]>;
  /** Most stages that any layer needs. */
  readonly stages: number;
  /** Conditions that edits wait for; equal ones share a gate. */
  readonly gates: readonly Gate[];
  /** What was changed on the way, in sentences for the user: directions dropped as linearly dependent. */
  readonly notes: readonly string[];
}

export const noInterventions: InterventionPlan = { layers: new Map(), stages: 0, gates: [], notes: [] };

/** Directions closer to dependence than this (length left after projection, of 1) count as dependent. */
const dependent = 1e-5;
/** Unit directions with a smaller overlap than this commute to float32 accuracy. */
const orthogonal = 1e-6;
/** Of any single edit. The model's norms add up squares in 32-bit floats, which end at 3.4e38; hundreds of edits leave room. */
const longest = 1e17;

/**
 * Checks a row's interventions against the model and puts them into the one form.
 *
 * Consecutive ablations of one layer and positions act together: they take out the span of their vectors,
 * which is orthonormalised here. All else acts in the listed order; edits that commute share a stage.
 * @throws UsageError naming the entry for a wrong layer, width, number or combination of keys.
 */
export function planInterventions(
  interventions: readonly Intervention[],
  config: ModelConfig,
  hasSentenceEnds: boolean,
): InterventionPlan {
  if (interventions.length === 0) return noInterventions;
  interventions.forEach((entry, i) =>
    checkIntervention(entry, `intervention ${i + 1}`, config, hasSentenceEnds),
  );
  const notes: string[] = [];
  const gates = new Gates();
  const layers = new Map<number, Edit[][]>();
  const numbered = interventions.map((entry, i) => ({ entry, number: i + 1 }));
  for (const layer of new Set(interventions.map((entry) => entry.layer))) {
    const entries = numbered.filter(({ entry }) => entry.layer === layer);
    layers.set(layer, toStages(toEdits(entries, gates, notes)));
  }
  const stages = Math.max(...[...layers.values()].map((list) => list.length));
  return { layers, stages, gates: gates.list, notes };
}

interface NumberedIntervention {
  readonly entry: Intervention;
  readonly number: number;
}

/** The conditions of a plan; the same object, or an equal one, is the same gate. */
class Gates {
  readonly list: Gate[] = [];

  indexOf(when: Condition | undefined): number | null {
    if (when === undefined) return null;
    const { layer, vector, above = -Infinity, below = Infinity } = when;
    const same = (gate: Gate): boolean =>
      gate.layer === layer && gate.above === above && gate.below === below && equal(gate.vector, vector);
    const known = this.list.findIndex(same);
    return known >= 0 ? known : this.list.push({ layer, vector, above, below }) - 1;
  }
}

function equal(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a === b) return true;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

function toEdits(entries: readonly NumberedIntervention[], gates: Gates, notes: string[]): Edit[] {
  const edits: Edit[] = [];
  for (let i = 0; i < entries.length; i++) {
    const { entry, number } = entries[i] as NumberedIntervention;
    const place = { positions: entry.positions ?? 'all', gate: gates.indexOf(entry.when) };
    if ('coef' in entry) {
      const direction = Float32Array.from(entry.vector);
      const keepNorm = entry.keepNorm === true;
      edits.push({ direction, add: entry.coef, min: -Infinity, max: Infinity, keepNorm, ...place });
    } else if ('ablate' in entry) {
      const group: NumberedIntervention[] = [{ entry, number }];
      while (ablatesTogether(entries[i + 1], entry, gates)) group.push(entries[++i] as NumberedIntervention);
      for (const direction of orthonormalise(group, notes)) {
        edits.push({ direction, add: 0, min: 0, max: 0, keepNorm: false, ...place });
      }
    } else {
      const direction = unit(entry.vector);
      const { min = -Infinity, max = Infinity } = entry;
      edits.push({ direction, add: 0, min, max, keepNorm: false, ...place });
    }
  }
  return edits;
}

function ablatesTogether(next: NumberedIntervention | undefined, entry: Intervention, gates: Gates): boolean {
  return (
    next !== undefined &&
    'ablate' in next.entry &&
    (next.entry.positions ?? 'all') === (entry.positions ?? 'all') &&
    gates.indexOf(next.entry.when) === gates.indexOf(entry.when)
  );
}

/** Gram-Schmidt in Float64, each direction swept twice, because one sweep leaves rounding behind. */
function orthonormalise(group: readonly NumberedIntervention[], notes: string[]): Float32Array[] {
  const basis: Float64Array[] = [];
  for (const { entry, number } of group) {
    const vector = Float64Array.from(unit64(entry.vector));
    for (let sweep = 0; sweep < 2; sweep++) {
      for (const other of basis) addScaled(vector, other, -dot(vector, other));
    }
    const left = Math.sqrt(dot(vector, vector));
    if (left < dependent) {
      notes.push(
        `intervention ${number} (ablate, layer ${entry.layer}) is dropped: its vector lies in the span of the ablations before it`,
      );
    } else {
      basis.push(vector.map((x) => x / left));
    }
  }
  return basis.map((vector) => Float32Array.from(vector));
}

/** Puts each edit into the first stage with room after every earlier edit that it does not commute with. */
function toStages(edits: readonly Edit[]): Edit[][] {
  const stages: Edit[][] = [];
  for (const edit of edits) {
    const blocking = stages.findLastIndex((stage) => stage.some((other) => !commute(edit, other)));
    let stage = blocking + 1;
    while ((stages[stage]?.length ?? 0) >= narrow) stage++;
    (stages[stage] ??= []).push(edit);
  }
  return stages;
}

function commute(a: Edit, b: Edit): boolean {
  if (a.keepNorm || b.keepNorm) return false;
  if (isAddition(a) && isAddition(b)) return true;
  const lengths = Math.sqrt(dot(a.direction, a.direction) * dot(b.direction, b.direction));
  return lengths === 0 || Math.abs(dot(a.direction, b.direction)) <= orthogonal * lengths;
}

function isAddition(edit: Edit): boolean {
  return edit.min === -Infinity && edit.max === Infinity;
}

function checkIntervention(
  entry: Intervention,
  name: string,
  config: ModelConfig,
  hasSentenceEnds: boolean,
): void {
  if (!Number.isInteger(entry.layer) || entry.layer < 1 || entry.layer > config.layers) {
    throw new UsageError(
      `${name}: expected a layer from 1 to ${config.layers} (layer l is the residual stream after block l), got ${entry.layer}`,
    );
  }
  const length = checkVector(entry.vector, config, name);
  if (entry.when !== undefined) checkCondition(entry.when, config, `${name}, condition`);
  if (entry.positions === 'boundary' && !hasSentenceEnds) {
    throw new UsageError(
      `${name}: positions "boundary" needs a tokenizer to find sentence ends, and the model folder has no tokenizer.json; use "response"`,
    );
  }
  checkStrength(entry, length, name);
}

/** The vector's length. */
function checkVector(vector: ArrayLike<number>, config: ModelConfig, name: string): number {
  if (vector.length !== config.width) {
    throw new UsageError(
      `${name}: expected a vector of the model's width ${config.width}, got ${vector.length} numbers; it may belong to another model`,
    );
  }
  for (let i = 0; i < vector.length; i++) {
    if (!Number.isFinite(vector[i])) {
      throw new UsageError(`${name}: expected finite numbers in the vector, got ${vector[i]} at index ${i}`);
    }
  }
  const length = lengthOf(vector);
  checkSize(length, `${name}: expected a vector of a length`);
  return length;
}

/** UsageError for a length in the residual stream that the model's norms cannot square. */
function checkSize(length: number, expected: string): void {
  if (Math.abs(length) > longest) {
    throw new UsageError(
      `${expected} of at most ${longest.toExponential()}, got ${length.toPrecision(3)}; a residual stream that is longer leaves the range of 32-bit floats, and nothing but noise is said`,
    );
  }
}

/** UsageError, naming the probe, for a layer or a vector that the model does not have. */
export function checkProbe({ layer, vector }: Probe, config: ModelConfig, name: string): void {
  if (!Number.isInteger(layer) || layer < 0 || layer > config.layers) {
    throw new UsageError(
      `${name}: expected a layer from 0 to ${config.layers} (layer l is the residual stream after block l), got ${layer}`,
    );
  }
  if (checkVector(vector, config, name) === 0) {
    throw new UsageError(`${name}: expected a vector that is not all zeros, since a direction is needed`);
  }
}

function checkCondition(when: Condition, config: ModelConfig, name: string): void {
  checkProbe(when, config, name);
  const { above = -Infinity, below = Infinity } = when;
  if (
    Number.isNaN(above) ||
    Number.isNaN(below) ||
    above >= below ||
    (above === -Infinity && below === Infinity)
  ) {
    throw new UsageError(
      `${name}: expected "above", "below", or both with above < below, got above ${when.above ?? 'none'} and below ${when.below ?? 'none'}`,
    );
  }
}

function checkStrength(entry: Intervention, length: number, name: string): void {
  const kinds = ['coef' in entry, 'ablate' in entry, 'min' in entry || 'max' in entry].filter(Boolean).length;
  if (kinds !== 1) {
    throw new UsageError(
      `${name}: expected exactly one of "coef", "ablate": true, or "min"/"max", got ${kinds === 0 ? 'none' : 'several'}`,
    );
  }
  if ('coef' in entry) {
    if (!Number.isFinite(entry.coef)) {
      throw new UsageError(`${name}: expected a finite "coef", got ${entry.coef}`);
    }
    checkSize(entry.coef, `${name}: expected a "coef"`);
    checkSize(entry.coef * length, `${name}: expected "coef" times the vector of a length`);
    return;
  }
  if (length === 0) {
    throw new UsageError(`${name}: expected a vector that is not all zeros, since a direction is needed`);
  }
  if ('ablate' in entry) return;
  const { min = -Infinity, max = Infinity } = entry;
  if (Number.isNaN(min) || Number.isNaN(max) || min > max) {
    throw new UsageError(`${name}: expected min ≤ max, got min ${min} and max ${max}`);
  }
  for (const bound of [min, max]) if (Number.isFinite(bound)) checkSize(bound, `${name}: expected a bound`);
}

function unit(vector: ArrayLike<number>): Float32Array {
  return Float32Array.from(unit64(vector));
}

function lengthOf(vector: ArrayLike<number>): number {
  return Math.sqrt(dot(vector, vector));
}

function unit64(vector: ArrayLike<number>): Float64Array {
  const length = lengthOf(vector);
  return Float64Array.from(vector, (x) => x / length);
}

function addScaled(target: Float64Array, other: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) + factor * (other[i] as number);
}
