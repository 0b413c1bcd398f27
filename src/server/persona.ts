import { planInterventions } from '../engine/interventions.ts';
import type { Generated, Intervention } from '../engine/types.ts';
import { UsageError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { type Watched, watch } from '../persona/projection/watch.ts';
import { resolveSteering } from '../persona/steering/resolve.ts';
import { parseSteering, type SteeringSpec } from '../persona/steering/spec.ts';
import { loadVector, vectorNames } from '../persona/vector-folder.ts';
import { defined } from '../util/defined.ts';
import { nearestName } from '../util/nearest.ts';
import type { PersonaField, ReplyPersona } from './api.ts';
import { HttpFailure } from './failure.ts';
import type { TurnPlace } from './monitor.ts';

/** Edits of one layer that have to act one after the other; more would make the graph of all requests deep. */
export const mostStages = 4;

/** A request's persona field, understood. */
export interface RequestPersona {
  readonly interventions: readonly Intervention[];
  readonly history: SteeringSpec['history'];
  /** Each under the name that the request has for it. */
  readonly watched: readonly Watched[];
  /** What policies watch beside: projected after the others, and no part of the answer. */
  readonly unasked: readonly Watched[];
  /** Whether projections of every token are wanted. */
  readonly tokens: boolean;
  /** What a user should know, in sentences. */
  readonly notes: readonly string[];
}

const noPersona: RequestPersona = {
  interventions: [],
  history: 'clean',
  watched: [],
  unasked: [],
  tokens: false,
  notes: [],
};

/**
 * Reads a persona field. Vectors are names in the server's folder: a request opens no other file.
 *
 * @throws DataError, UsageError or HttpFailure saying what in it cannot be.
 */
export async function readPersona(
  field: PersonaField | undefined,
  checkpoint: Checkpoint,
  folder: string,
): Promise<RequestPersona> {
  if (field === undefined) return noPersona;
  const names = await nameableVectors(folder);
  return {
    ...noPersona,
    ...(field.steer !== undefined && (await readSteer(field.steer, checkpoint, folder, names))),
    ...(field.watch !== undefined && (await readWatch(field.watch, checkpoint, folder, names))),
  };
}

/** The names that requests can use: none of them can be read as a path. */
export async function nameableVectors(folder: string): Promise<string[]> {
  return (await vectorNames(folder)).filter((name) => !name.endsWith('.safetensors'));
}

async function readSteer(
  value: unknown,
  checkpoint: Checkpoint,
  folder: string,
  names: readonly string[],
): Promise<Pick<RequestPersona, 'interventions' | 'history' | 'notes'>> {
  const spec = parseSteering(value, 'persona.steer');
  for (const key of ['vectors', 'baseline'] as const) {
    if (spec[key] !== undefined)
      throw new UsageError(
        `persona.steer: expected no "${key}", which names files of the server; leave it out.`,
      );
  }
  for (const entry of spec.interventions) {
    for (const reference of [entry.vector, entry.when?.vector])
      if (typeof reference === 'string') checkVectorName(reference, names);
  }
  const resolved = await resolveSteering({ ...spec, vectors: folder }, checkpoint);
  const { config, tokenizer } = checkpoint;
  const { stages } = planInterventions(resolved.interventions, config, tokenizer !== null);
  if (stages > mostStages)
    throw new UsageError(
      `persona.steer: expected at most ${mostStages} edits of one layer that have to act one after the other, got ${stages}; use fewer.`,
    );
  return resolved;
}

async function readWatch(
  field: NonNullable<PersonaField['watch']>,
  checkpoint: Checkpoint,
  folder: string,
  names: readonly string[],
): Promise<Pick<RequestPersona, 'watched' | 'tokens'>> {
  const { vectors, layer, pooling, tokens = false } = Array.isArray(field) ? { vectors: field } : field;
  const watched: Watched[] = [];
  for (const name of vectors) {
    checkVectorName(name, names);
    if (watched.some((one) => one.name === name))
      throw new UsageError(`persona.watch: expected every vector once, got ${JSON.stringify(name)} twice.`);
    const vector = await loadVector(name, { folder, ...defined({ pooling }) });
    watched.push({ ...watch(vector, checkpoint, { reference: name, ...defined({ layer }) }), name });
  }
  return { watched, tokens };
}

/** @throws HttpFailure for a name that is not among those of the folder; no path is one. */
export function checkVectorName(name: string, names: readonly string[], where = 'persona'): void {
  if (names.includes(name)) return;
  const nearest = nearestName(name, names);
  const hint =
    nearest === null ? 'GET /persona/vectors lists them' : `did you mean ${JSON.stringify(nearest)}?`;
  throw new HttpFailure(400, `found no vector ${JSON.stringify(name.slice(0, 100))}; ${hint}`, {
    code: 'unknown_vector',
    param: where,
  });
}

/** What is said of a reply: its projections before it and over its tokens, and where it stands among those that are kept. */
export function replyPersona(
  { projections }: Generated,
  { watched, unasked, tokens }: RequestPersona,
  turn: TurnPlace | null,
): { persona?: ReplyPersona } {
  const place = turn === null ? {} : { turn };
  if (watched.length === 0 || projections === undefined)
    return turn === null ? {} : { persona: { projections: {}, ...place } };
  const found = watched.map(({ name, layer }, i): [string, ReplyPersona['projections'][string]] => {
    const { before, mean, tokens: all } = readingsOf(projections, watched.length + unasked.length, i);
    return [name, { layer, before, mean, ...(tokens && { tokens: all }) }];
  });
  return { persona: { projections: Object.fromEntries(found), ...place } };
}

/**
 * One vector's readings: before the reply, over it, and at each of its tokens.
 *
 * @param projections `[1 + tokens, width]`, the first row before the reply
 */
export function readingsOf(
  projections: Float32Array,
  width: number,
  vector: number,
): { readonly before: number; readonly mean: number | null; readonly tokens: number[] } {
  const count = projections.length / width;
  const values = Array.from({ length: count }, (_, t) => projections[t * width + vector]!);
  const tokens = values.slice(1);
  const mean = tokens.length === 0 ? null : tokens.reduce((sum, value) => sum + value, 0) / tokens.length;
  return { before: values[0]!, mean, tokens };
}
