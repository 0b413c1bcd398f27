import { join } from 'node:path';
import { z } from 'zod';
import { type Pooling, type Positions, poolings } from '../engine/types.ts';
import { UsageError } from '../errors.ts';
import { readJsonObject } from '../model/json-text.ts';
import { fileState } from '../store/file-state.ts';
import { describeIssues } from '../store/schema.ts';
import { type StrengthUnit, strengthUnits } from './strength.ts';

/** What a model's folder says of how it is best used, in `persona.json`; everything in it is a default. */
export interface ModelNote {
  /** Set of shipped traits that is written for it. */
  readonly traitSet: string | null;
  readonly steering: ModelSteering;
}

/** How a model is best steered, where that differs from the paper's way. */
export interface ModelSteering {
  readonly pooling?: Pooling | undefined;
  readonly positions?: Positions | undefined;
  /** In `unit`. */
  readonly strengths?:
    | { readonly unit: StrengthUnit; readonly sweep: readonly number[]; readonly dose: readonly number[] }
    | undefined;
}

const NAME = 'persona.json';
const MAX_BYTES = 65_536;
const strengthList = z.array(z.number()).min(2);
const noteSchema = z.object({
  trait_set: z.string().optional(),
  steering: z
    .strictObject({
      pooling: z.enum(poolings).optional(),
      positions: z.enum(['all', 'prompt', 'response', 'boundary']).optional(),
      strengths: z
        .strictObject({ unit: z.enum(strengthUnits), sweep: strengthList, dose: strengthList })
        .optional(),
    })
    .optional(),
});

/** What was read of each file, and the state that the file was in: a server asks for it with every request. */
const known = new Map<string, { readonly state: string; readonly note: ModelNote }>();

/**
 * Reads the note of a model's folder; an empty one where there is none. A file is read again once it has changed.
 *
 * @throws ParseError or UsageError when the file is there and cannot be understood.
 */
export async function readModelNote(modelFolder: string | undefined): Promise<ModelNote> {
  const file = modelFolder === undefined ? null : join(modelFolder, NAME);
  const state = file === null ? null : await fileState(file);
  if (file === null || state === null) return { traitSet: null, steering: {} };
  const before = known.get(file);
  if (before?.state === state) return before.note;
  const note = await readNote(file);
  known.set(file, { state, note });
  return note;
}

async function readNote(file: string): Promise<ModelNote> {
  const parsed = noteSchema.safeParse(await readJsonObject(file, MAX_BYTES));
  if (parsed.success)
    return { traitSet: parsed.data.trait_set ?? null, steering: parsed.data.steering ?? {} };
  throw new UsageError(
    `Expected "${file}" to say how the model is used, got something else: ${describeIssues(parsed.error)}; correct it.`,
    { details: { file } },
  );
}
