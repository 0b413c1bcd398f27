/** The reference's reading of interventions: which positions they touch and what they do to a vector. */

import type { Intervention, Positions } from './types.ts';
import { dot } from './reference-block.ts';

/** Whether a token ends a sentence; only `boundary` asks. */
export type EndsSentence = (id: number) => boolean;

/** Whether `positions` holds at index `i` of a row whose first response token is at `responseStart`. */
export function holdsAt(
  positions: Positions,
  i: number,
  ids: readonly number[],
  responseStart: number,
  endsSentence: EndsSentence,
): boolean {
  switch (positions) {
    case 'all':
      return true;
    case 'prompt':
      return i < responseStart;
    case 'response':
      return i >= responseStart - 1;
    case 'boundary':
      return i === responseStart - 1 || (i >= responseStart && endsSentence(ids[i]!));
    default:
      return positions satisfies never;
  }
}

/** Interventions of one layer that act as one: a run of ablations, or any other on its own. */
export interface InterventionGroup {
  readonly positions: Positions;
  readonly members: readonly Intervention[];
}

/**
 * The interventions of one layer in the groups that act one after the other. Neighbouring ablations with the
 * same positions are one group: their span is projected out, whatever the angles between them.
 */
export function groupAt(interventions: readonly Intervention[], layer: number): InterventionGroup[] {
  const groups: { positions: Positions; members: Intervention[] }[] = [];
  for (const next of interventions.filter((one) => one.layer === layer)) {
    const last = groups.at(-1);
    const positions = next.positions ?? 'all';
    const joins = 'ablate' in next && last !== undefined && 'ablate' in last.members[0]!;
    if (joins && last.positions === positions) last.members.push(next);
    else groups.push({ positions, members: [next] });
  }
  return groups;
}

/** One residual `[width]` after the groups that hold at its position, in listed order. */
export function intervene(h: Float64Array, groups: readonly InterventionGroup[]): Float64Array {
  return groups.reduce(
    (now, { members }) => ('ablate' in members[0]! ? projectOut(now, members) : editAlong(now, members[0]!)),
    h,
  );
}

/** h − Σ (h·q) q over an orthonormal basis q of the ablated directions. */
function projectOut(h: Float64Array, ablations: readonly Intervention[]): Float64Array {
  return orthonormalBasis(ablations.map((ablation) => ablation.vector)).reduce(
    (now, u) => moveAlong(now, u, -dot(now, u)),
    h,
  );
}

/**
 * Gram–Schmidt, every vector cleaned twice because one pass leaves rounding behind. A vector whose rest is
 * below 1e-6 of its norm lies in the span of those before it and is dropped; so is a zero vector.
 */
function orthonormalBasis(vectors: readonly ArrayLike<number>[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const vector of vectors) {
    const clean = (v: Float64Array): Float64Array =>
      basis.reduce((rest, u) => moveAlong(rest, u, -dot(rest, u)), v);
    const rest = clean(clean(Float64Array.from(vector)));
    if (norm(rest) > 1e-6 * norm(vector)) basis.push(unit(rest));
  }
  return basis;
}

/** h ← h + (add + clamp(p, min, max) − p) u with u = v/‖v‖ and p = h·u. A zero vector changes nothing. */
function editAlong(h: Float64Array, intervention: Intervention): Float64Array {
  if (norm(intervention.vector) === 0) return h;
  const u = unit(intervention.vector);
  const p = dot(h, u);
  const { add, min, max } = amounts(intervention);
  const moved = moveAlong(h, u, add + Math.min(max, Math.max(min, p)) - p);
  if (!('keepNorm' in intervention)) return moved;
  const ratio = norm(h) / norm(moved);
  return moved.map((value) => value * ratio);
}

function amounts(intervention: Intervention): { add: number; min: number; max: number } {
  if ('coef' in intervention)
    return { add: intervention.coef * norm(intervention.vector), min: -Infinity, max: Infinity };
  if ('ablate' in intervention) return { add: 0, min: 0, max: 0 };
  return { add: 0, min: intervention.min ?? -Infinity, max: intervention.max ?? Infinity };
}

function moveAlong(h: Float64Array, u: Float64Array, amount: number): Float64Array {
  return h.map((value, i) => value + amount * u[i]!);
}

function unit(vector: ArrayLike<number>): Float64Array {
  const length = norm(vector);
  return Float64Array.from(vector, (value) => value / length);
}

function norm(vector: ArrayLike<number>): number {
  return Math.sqrt(dot(vector, vector));
}
