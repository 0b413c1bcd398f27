import { join, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import type { LanguageModel } from '../engine/model.ts';
import type { Pooling, Positions } from '../engine/types.ts';
import { readJsonObject } from '../model/json-text.ts';
import { type ExtractContext, activationsMetadata, openContext } from '../persona/extract-context.ts';
import { type ExtractOptions, settle } from '../persona/extract-options.ts';
import { recipeOf } from '../persona/extract-recipe.ts';
import { meanNorms } from '../persona/extract-vector.ts';
import type { JudgeProvider } from '../persona/judge.ts';
import type { ProgressListener } from '../persona/progress.ts';
import { describeFiles, measuredCounts, measuredFiles, originOf } from '../persona/result-manifest.ts';
import { parseTrait } from '../persona/trait.ts';
import { type Validation, validationSteps } from '../persona/validation-steps.ts';
import { PersonaVector } from '../persona/vector.ts';
import { isThere } from '../store/files.ts';
import { readJsonl } from '../store/jsonl.ts';
import type { ValidationManifest } from '../store/manifest.ts';
import { packageInfo } from '../store/package-info.ts';
import { openRecordFile } from '../store/record-file.ts';
import { scoredRolloutSchema } from '../store/rollout-schema.ts';
import { type Recipe, openFolder, runFiles, validationFolder } from '../store/run-folder.ts';
import { defined } from '../util/defined.ts';
import { sha256 } from '../util/hash.ts';

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

/** The run whose vector is measured, and how. */
export type ValidationOptions = Omit<ValidateRunOptions, 'model' | 'judge' | 'onProgress' | 'signal'>;

const MAX_JSON_BYTES = 4 * 1024 * 1024;

/**
 * Measures a run's vector by a protocol, in a folder of its own below the run, whose manifest is written last; a stopped call
 * continues. The run's other files stay as they are.
 *
 * @throws UsageError for a model that the run was not made with; StoreError for a folder with a validation of other options,
 *   or what is no run.
 */
export async function validateRun(options: ValidateRunOptions): Promise<ValidatedRun> {
  const { model, judge, onProgress, signal } = options;
  const run = resolve(options.run);
  const runRecipe = await readRecipe(run);
  const asked = await validationOptions(options);
  const extractOptions = { ...asked, ...defined({ onProgress, signal }), model, judge };
  const settings = await settle(extractOptions);
  requireModel(runRecipe, settings.fingerprint, model.checkpoint.id);
  const vector = await vectorOf(run, runRecipe, protocols[options.protocol].pooling);
  const recipe = { ...recipeOf(settings), kind: 'validate', vector: sha256(bytesOf(vector.data)) };
  const folder = await openFolder(settings.out, recipe);
  try {
    const context = openContext(settings, { ...folder, manifest: null }, extractOptions);
    const validation = await validationSteps(context, vector);
    if (!(await isThere(folder.file('manifest')))) await finish(context, recipe, validation);
    return { folder: folder.path, vector, validation };
  } finally {
    await folder.close();
  }
}

/** A validation as an extraction of measurements only: what it was asked for, and for the rest what the run was made with. */
export async function validationOptions(options: ValidationOptions): Promise<Omit<ExtractOptions, 'model'>> {
  const run = resolve(options.run);
  const { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor, protocol } = options;
  return {
    trait: parseTrait(await readJsonObject(join(run, runFiles.trait), MAX_JSON_BYTES), ''),
    out: join(run, validationFolder(protocol)),
    ...protocols[protocol],
    ...samplingOf(await readRecipe(run)),
    ...defined({ strengthUnit, sweep, doseResponse, heldOut, coherenceFloor }),
  };
}

function readRecipe(run: string): Promise<Record<string, unknown>> {
  return readJsonObject(join(run, runFiles.recipe), MAX_JSON_BYTES);
}

async function finish(context: ExtractContext, recipe: Recipe, validation: Validation): Promise<void> {
  const { folder } = context;
  const manifest: ValidationManifest = {
    ...originOf(context, await packageInfo()),
    kind: 'validate',
    recipe: { ...recipe },
    counts: measuredCounts(validation),
    seconds: context.seconds,
    artifacts: await describeFiles(folder, ['recipe', ...(await measuredFiles(folder, validation))]),
  };
  await folder.writeJson('manifest', manifest);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Replies are sampled as the run's own measurements are. */
function samplingOf(recipe: Record<string, unknown>): Partial<ExtractOptions> {
  const number = (name: string): number | undefined =>
    typeof recipe[name] === 'number' ? recipe[name] : undefined;
  return defined({
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
    `Expected the model that the run was made with (${String(made?.id)}), got ${id}, whose weights are others; name it with --model, and its adapter with --adapter.`,
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
