/** EasySteer's `SteeringSpec` in JSON: vectors, algorithms, and the clauses that say where they act. */

import { createHash } from 'node:crypto';
import type { Edit, InterventionPlan } from '../interventions.ts';
import { covers } from '../positions.ts';
import type { Positions } from '../types.ts';
import type { RemoteEdits } from './protocol.ts';

/** The spec by which edits act; null where nothing does. */
export function steeringSpec(edits: RemoteEdits, sentenceEnds: readonly number[]): object | null {
  const vectors = vectorSpecs(edits.plan, (positions) => clause(positions, edits, sentenceEnds));
  return vectors.length === 0 ? null : { vectors, conflict: 'sequential' };
}

/** The server's number of the block after which `layer` is read. */
function blockIndex(layer: number): number {
  return layer - 1;
}

/** Additions that all commute are one vector for each kind of positions; else every edit is one, in the order in which they act. */
function vectorSpecs(plan: InterventionPlan, where: Where): object[] {
  const edits = [...plan.layers].flatMap(([layer, stages]) => stages.flat().map((edit) => ({ layer, edit })));
  if (!edits.every(({ edit }) => isPlainAddition(edit)))
    return edits.flatMap(({ layer, edit }) => vectorSpec(new Map([[layer, scaled(edit)]]), edit, where));
  return [...new Set(edits.map(({ edit }) => edit.positions))].flatMap((positions) => {
    const alike = edits.filter(({ edit }) => edit.positions === positions);
    const sums = new Map<number, Float32Array>();
    for (const { layer, edit } of alike) {
      const sum = sums.get(layer);
      const next = scaled(edit);
      sums.set(layer, sum === undefined ? next : next.map((x, i) => x + sum[i]!));
    }
    return vectorSpec(sums, alike[0]!.edit, where);
  });
}

function isPlainAddition(edit: Edit): boolean {
  return isAddition(edit) && !edit.keepNorm;
}

function isAddition({ min, max }: Edit): boolean {
  return min === -Infinity && max === Infinity;
}

/** What is added; of an ablation the direction alone. */
function scaled(edit: Edit): Float32Array {
  return isAddition(edit) ? edit.direction.map((x) => edit.add * x) : edit.direction;
}

/** A clause for where edits act; null where they act nowhere. */
type Where = (positions: Positions) => object | null;

function vectorSpec(layers: ReadonlyMap<number, Float32Array>, edit: Edit, where: Where): object[] {
  const apply = where(edit.positions);
  if (apply === null) return [];
  const spec = {
    data: directionPayload(layers),
    algorithm: isAddition(edit) ? 'direct' : 'erase',
    scale: 1,
    normalize: edit.keepNorm,
    apply,
  };
  return [spec];
}

/**
 * Where a vector acts, in the server's words: the last prompt token is position −1, replies are "generation". Given text is
 * prompt to the server, the reply in it too, so that its places are listed.
 */
function clause(
  positions: Positions,
  { places, newTokens }: RemoteEdits,
  sentenceEnds: readonly number[],
): object | null {
  if (positions === 'all') return { prompt: 'all', generation: 'all' };
  if (newTokens === 0) {
    const ends = new Set(sentenceEnds);
    const covered = places.filter((place) => covers(positions, place, (id) => ends.has(id)));
    return covered.length === 0 ? null : { prompt_positions: covered.map(({ index }) => index) };
  }
  switch (positions) {
    case 'prompt':
      return { prompt: 'all' };
    case 'response':
      return { prompt_positions: [-1], generation: 'all' };
    case 'boundary':
      return { prompt_positions: [-1], generation_tokens: sentenceEnds };
    default:
      return positions satisfies never;
  }
}

const WIRE_VERSION = 1;

/**
 * Directions by block, with the hash by which the server tells payloads apart: that of its own `DirectionVector.to_wire`, so that
 * the same vector from a Python client shares its place there.
 */
export function directionPayload(layers: ReadonlyMap<number, Float32Array>): object {
  const named = [...layers].map(([layer, vector]) => [`layer.${blockIndex(layer)}`, vector] as const);
  const sorted = named.toSorted(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(`direction:${WIRE_VERSION}`);
  for (const [name, vector] of sorted)
    hash.update(name).update(`(${vector.length},)`).update(bytesOf(vector));
  return {
    version: WIRE_VERSION,
    kind: 'direction',
    tensors: Object.fromEntries(
      sorted.map(([name, vector]) => [
        name,
        { shape: [vector.length], data: bytesOf(vector).toString('base64') },
      ]),
    ),
    extra: {},
    sha256: hash.digest('hex'),
  };
}

function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}
