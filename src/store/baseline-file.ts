import { z } from 'zod';
import { UsageError } from '../errors.ts';
import { writeJson } from './files.ts';
import { isObject, readUserJson } from './strict-json.ts';
import { describeIssues } from './schema.ts';

/** The places of a conversation whose projections are calibrated apart, because their levels differ. */
export const calibratedPlaces = ['prompt_last', 'response_mean', 'response_token'] as const;
export type CalibratedPlace = (typeof calibratedPlaces)[number];

/** Percentiles that a distribution is kept as: 0, 0.5 … 100. */
export const percentileSteps = 200;

const distribution = z.object({
  count: z.int().min(1),
  mean: z.number(),
  sd: z.number().min(0),
  /** `[201]`, percentiles 0, 0.5 … 100, rising. */
  percentiles: z.array(z.number()).length(percentileSteps + 1),
});
const baselineSchema = z.object({
  format: z.literal('persona-vectors/baseline/1'),
  model: z.string(),
  model_fingerprint: z.string(),
  input: z.string(),
  input_sha256: z.string(),
  conversations: z.int().min(1),
  turns: z.int().min(1),
  vectors: z.array(
    z.object({
      name: z.string(),
      layer: z.int().min(1),
      pooling: z.string(),
      /** Of the direction's numbers, so that a vector that was made anew is not taken for the old one. */
      vector_sha256: z.string(),
      places: z.object({
        prompt_last: distribution,
        response_mean: distribution,
        response_token: distribution,
      }),
    }),
  ),
});
/** How ordinary conversations project on some vectors: what z-scores and percentiles are measured by. */
export type Baseline = z.infer<typeof baselineSchema>;
export type BaselineVector = Baseline['vectors'][number];
export type Distribution = z.infer<typeof distribution>;

/** Writes a baseline whole or not at all. */
export async function writeBaseline(file: string, baseline: Baseline): Promise<void> {
  await writeJson(file, baseline);
}

/** @throws UsageError when the file is no baseline; DataError when it is no JSON. */
export async function readBaseline(file: string): Promise<Baseline> {
  const value = await readUserJson(file);
  const parsed = baselineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const what = isObject(value) ? describeIssues(parsed.error) : 'it is no object';
  throw new UsageError(`Expected "${file}" to be a baseline of \`persona calibrate\`, but ${what}.`, {
    details: { file },
  });
}
