import { join, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import type { LanguageModel } from '../engine/model.ts';
import type { Pooling, Positions } from '../engine/types.ts';
import { readJsonObject } from '../model/json-text.ts';
import { activationsMetadata, openContext } from '../persona/extract-context.ts';
import { type ExtractOptions, settle } from '../persona/extract-options.ts';
import { recipeOf } from '../persona/extract-recipe.ts';
import { meanNorms } from '../persona/extract-vector.ts';
import type { JudgeProvider } from '../persona/judge.ts';
import type { ProgressListener } from '../persona/progress.ts';
import { parseTrait } from '../persona/trait.ts';
import { type Validation, validationSteps } from '../persona/validation-steps.ts';
import { PersonaVector } from '../persona/vector.ts';
import { readJsonl } from '../store/jsonl.ts';
import { openRecordFile } from '../store/record-file.ts';
import { scoredRolloutSchema } from '../store/rollout-schema.ts';
import { type Recipe, openFolder, runFiles, validationFolder } from '../store/run-folder.ts';

/** Where a vector comes from and where it is added. */
export interface Protocol {
  readonly pooling: Pooling;
  readonly positions: Positions;
}

/** The paper's, and that of small models, which decide at the beginnings of sentences. */
export const protocols: Readonly<Record<'response' | 'boundary', Protocol>> = {
  response: { pooling: 'response_mean', positions: 'response' },
  boundary: { pooling: 'boundary_mean', positions: 'boundary' },
};
export type ProtocolName = keyof typeof protocols;

export interface ValidateRunOptions
  extends Pick<ExtractOptions, 'strengthUnit' | 'sweep' | 'doseResponse' | 'heldOut' | 'coherenceFloor'> {
  /** Folder of a run that has its vector. */
  readonly run: string;
  /** The model that the run was made with. */
  readonly model: LanguageModel;
  readonly judge: JudgeProvider;
  readonly protocol: ProtocolName;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** A finished validation. */
export interface ValidatedRun {
  /** Absolute path of its folder below the run. */
  readonly folder: string;
  readonly vector: PersonaVector;
  readonly validation: Validation;
}

const MAX_JSON_BYTES = 4 * 1024 * 1024;

/**
 * Measures a run's vector by a protocol, in a folder of its own below the run; a stopped call continues. The run's other
 * files stay as they are.
 *
 * @throws UsageError for a model that the run was not made with; StoreError for a folder with a validation of other options,
 *   or what is no run.
 */
export async function validateRun(options: ValidateRunOptions): Promise<ValidatedRun> {
  const run = resolve(options.run);
  const recipe = await readJsonObject(join(run, runFiles.recipe), MAX_JSON_BYTES);
  const trait = parseTrait(await readJsonObject(join(run, runFiles.trait), MAX_JSON_BYTES), '');
  const { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor, model, judge } = options;
  const folder = join(run, validationFolder(options.protocol));
  const given = { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor };
  const settings = await settle({
    model,
    trait,
    judge,
    out: folder,
    ...protocols[options.protocol],
    ...samplingOf(recipe),
    ...withoutUndefined(given),
  });
  requireModel(recipe, settings.fingerprint, model.checkpoint.id);
  const vector = await vectorOf(run, recipe, protocols[options.protocol].pooling);
  const open = await openFolder(folder, { ...recipeOf(settings), kind: 'validate' });
  try {
    const context = openContext(
      settings,
      { ...open, manifest: null },
      { model, trait, out: folder, ...listeners(options) },
    );
    return { folder: open.path, vector, validation: await validationSteps(context, vector) };
  } finally {
    await open.close();
  }
}

function listeners({
  onProgress,
  signal,
}: ValidateRunOptions): Pick<ExtractOptions, 'onProgress' | 'signal'> {
  return withoutUndefined({ onProgress, signal });
}

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Replies are sampled as the run's own measurements are. */
function samplingOf(recipe: Record<string, unknown>): Partial<ExtractOptions> {
  const number = (name: string): number | undefined =>
    typeof recipe[name] === 'number' ? recipe[name] : undefined;
  return withoutUndefined({
    maxTokens: number('max_tokens'),
    temperature: number('evaluation_temperature'),
    topP: number('top_p'),
    seed: number('seed'),
    keepThoughts: recipe['thoughts'] === 'kept',
  });
}

function requireModel(recipe: Record<string, unknown>, fingerprint: string, id: string): void {
  const made = recipe['model'] as { readonly id?: unknown; readonly fingerprint?: unknown } | undefined;
  if (made?.fingerprint === fingerprint) return;
  throw new UsageError(
    `Expected the model that the run was made with (${String(made?.id)}), got ${id}, whose weights are others; name it with --model.`,
    { details: { model: id } },
  );
}

/** The vector of a pooling, with the residual stream's norms in that pooling: strengths as fractions need them. */
async function vectorOf(
  run: string,
  recipe: Record<string, unknown>,
  pooling: Pooling,
): Promise<PersonaVector> {
  const vector = await PersonaVector.load(join(run, runFiles.vector), pooling);
  if (vector.metadata.residualNorms !== null) return vector;
  return vector.describe({ residualNorms: await residualNorms(run, recipe, vector) });
}

async function residualNorms(
  run: string,
  recipe: Record<string, unknown>,
  { layers, width, metadata }: PersonaVector,
): Promise<number[]> {
  const places: number[] = [];
  let rows = 0;
  for await (const { value } of readJsonl(join(run, runFiles.rollouts), scoredRolloutSchema)) {
    if (value.response_ids.length > 0) places.push(rows);
    rows++;
  }
  const names = (recipe as Recipe)['capture'] as readonly string[];
  const layout = { names, shape: [layers + 1, width], rows, metadata: activationsMetadata };
  const file = await openRecordFile(join(run, runFiles.activations), layout, { create: false });
  try {
    return await meanNorms(places, metadata.pooling, width, (name, row) => file.read(name, row));
  } finally {
    await file.close();
  }
}
