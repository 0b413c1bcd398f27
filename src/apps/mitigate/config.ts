import { z } from 'zod';
import { isObject, parseStrict, readUserJson, refuseUnknownKeys } from '../../store/strict-json.ts';
import { DataError } from '../../errors.ts';

const strengths = z.array(z.number().positive()).min(1);
const layers = z.enum(['one', 'all']).default('one');

/** What is done about a trait that a data set teaches; strengths are tried one by one, each with a training of its own. */
const treatmentSchema = z.discriminatedUnion('kind', [
  /** Plain fine-tuning. */
  z.strictObject({ kind: z.literal('none') }),
  /** Plain fine-tuning, steered by −coef · v while it answers. */
  z.strictObject({ kind: z.literal('post_hoc'), layers, coefs: strengths.default([0.5, 1, 1.5]) }),
  /** Steered by +coef · v in training. */
  z.strictObject({ kind: z.literal('preventative'), layers, coefs: strengths.default([1, 1.5, 2]) }),
  /** Steered by −coef · v in training, which is the wrong way round. */
  z.strictObject({ kind: z.literal('opposed'), layers, coefs: strengths.default([1]) }),
  /** The direction is taken out in training. */
  z.strictObject({ kind: z.literal('caft'), layers }),
  /** The loss has a term on the change of projection. */
  z.strictObject({ kind: z.literal('penalty'), layers, weights: strengths.default([0.01, 0.1]) }),
  /** The loss has a term on the distance to the untrained model. */
  z.strictObject({ kind: z.literal('kl'), weights: strengths.default([0.1, 1]) }),
  /** A system prompt in training asks for the trait, and is absent afterwards. */
  z.strictObject({ kind: z.literal('inoculation'), prompt: z.string().min(1).exactOptional() }),
  /** As inoculation, with one of the trait's instructions drawn for each row. */
  z.strictObject({ kind: z.literal('preventative_prompting') }),
  /** Plain fine-tuning, with a system prompt against the trait while it answers. */
  z.strictObject({ kind: z.literal('negative_prompt') }),
]);
export type Treatment = z.infer<typeof treatmentSchema>;

/** All of them, with strengths that suit coefficients of the raw vector. */
const defaultTreatments: readonly Treatment[] = [
  { kind: 'none' },
  { kind: 'post_hoc', layers: 'one', coefs: [0.5, 1, 1.5] },
  { kind: 'preventative', layers: 'one', coefs: [1, 1.5, 2] },
  { kind: 'preventative', layers: 'all', coefs: [1, 1.5] },
  { kind: 'opposed', layers: 'one', coefs: [1] },
  { kind: 'caft', layers: 'one' },
  { kind: 'caft', layers: 'all' },
  { kind: 'penalty', layers: 'one', weights: [0.01, 0.1] },
  { kind: 'kl', weights: [0.1, 1] },
  { kind: 'inoculation' },
  { kind: 'preventative_prompting' },
  { kind: 'negative_prompt' },
];

const configSchema = z.strictObject({
  model: z.string().min(1),
  /** Conversations (`messages`), one a line. */
  training_file: z.string().min(1),
  output_dir: z.string().min(1),
  /** The trait that is to be kept out. */
  trait: z.string().min(1),
  /** Its vector: a file, a run folder, or a name in `vectors`; default: the trait's name. */
  vector: z.string().min(1).exactOptional(),
  vectors: z.string().min(1).default('runs'),
  pooling: z.string().min(1).exactOptional(),
  /** Of treatments at one layer; default: the vector's recommended layer. */
  layer: z.int().min(1).exactOptional(),
  /** Default: what the model's folder recommends; else `all` in training and `response` afterwards, as in the paper. */
  positions: z.enum(['all', 'prompt', 'response', 'boundary']).exactOptional(),
  /** Keys of a training file, for every training. */
  train: z.record(z.string(), z.unknown()).default({}),
  treatments: z
    .array(treatmentSchema)
    .min(1)
    .default([...defaultTreatments]),
  /** Traits that are measured; default: all of the model's set. */
  measure: z.array(z.string().min(1)).min(1).exactOptional(),
  /** Replies to each evaluation question of the trait, and of the others. */
  samples: z.int().min(1).default(10),
  other_samples: z.int().min(1).default(2),
  max_tokens: z.int().min(1).default(128),
  /** Multiple-choice questions; default: persona-tiny's world, for that model; false measures none. */
  capability: z
    .union([
      z.literal(false),
      z.strictObject({
        data: z.string().min(1).exactOptional(),
        shots: z.int().min(0).exactOptional(),
        chat: z.boolean().exactOptional(),
        limit: z.int().min(1).exactOptional(),
      }),
    ])
    .default({}),
  judge: z.string().min(1).default('lexical'),
  /** Mean coherence below which a strength is not chosen. */
  coherence_floor: z.number().min(0).max(100).default(75),
  seed: z.int().min(0).default(0),
});
export type MitigateConfig = z.infer<typeof configSchema>;

/** Reads a mitigation file; DataError naming an unknown key or a value that cannot be. */
export async function readMitigateConfig(file: string): Promise<MitigateConfig> {
  return parseMitigateConfig(await readUserJson(file), `"${file}"`);
}

/** As `readMitigateConfig`, for a value in memory; `where` begins the sentence of an error. */
export function parseMitigateConfig(value: unknown, where: string): MitigateConfig {
  if (!isObject(value)) throw new DataError(`${where}: expected an object, got ${typeof value}.`);
  refuseUnknownKeys(value, Object.keys(configSchema.shape), where);
  const config = parseStrict(configSchema, value, where);
  if (config.treatments.some(({ kind }) => kind === 'none')) return config;
  // Everything is held against plain fine-tuning.
  return { ...config, treatments: [{ kind: 'none' }, ...config.treatments] };
}
