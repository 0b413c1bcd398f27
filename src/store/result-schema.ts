import { z } from 'zod';

/** What is measured under one condition: means over its rollouts, with 95 % intervals from a bootstrap over questions. */
const cellSchema = z.object({
  condition: z.string(),
  /** What was added: the trait's vector, a random direction of the same norm, or nothing. */
  direction: z.enum(['trait', 'random', 'none']),
  /** Number of the random direction, or null. */
  draw: z.int().nullable(),
  /** 1 … L; null where nothing was added. */
  layer: z.int().nullable(),
  /** In the unit of the table that the cell belongs to. */
  strength: z.number(),
  /** Coefficient of the raw vector, or of a random direction as long as it. */
  coef: z.number(),
  /** Length of what was added, and that as a share of the residual stream's own mean norm; null where it is not known. */
  norm: z.number().nullable(),
  fraction: z.number().nullable(),
  /** Mean trait score, 0–100, of the rollouts that were scored; null where none was. */
  score: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  /** Mean coherence, 0–100. */
  coherence: z.number().nullable(),
  coherence_lower: z.number().nullable(),
  coherence_upper: z.number().nullable(),
  /** Rollouts, and those among them without a trait score. */
  rollouts: z.int(),
  unscored: z.int(),
});
export type Cell = z.infer<typeof cellSchema>;

/** See `strengthUnits`. */
const unitSchema = z.enum(['fraction', 'norm', 'coef']);
const questionsSchema = z.array(z.int());

/** `sweep.json`: every layer × strength of the coarse grid, the finer cells around its best, and the controls. */
export const sweepSchema = z.object({
  positions: z.string(),
  /** Indices into the trait's evaluation questions. */
  questions: questionsSchema,
  samples: z.int(),
  layers: z.array(z.int()),
  unit: unitSchema,
  strengths: z.array(z.number()),
  coherence_floor: z.number(),
  zero: cellSchema,
  /** The trait's own instructions as prompts, without steering. */
  prompts: z.object({ pos: cellSchema, neg: cellSchema }),
  trait: z.array(cellSchema),
  random: z.array(cellSchema),
  /** Cells of the second pass, which are among the others: between the coarse ones, around the best of them. */
  fine: z.array(z.string()),
  /** Highest score at a positive strength whose coherence reaches the floor; null where none does. */
  recommended: cellSchema.nullable(),
  /** The layer with the highest such score, or where there is none, the layer with the largest gain. */
  layer: z.int(),
});
export type Sweep = z.infer<typeof sweepSchema>;

/** `dose-response.json`: one layer, strengths fixed beforehand, against random directions. */
export const doseSchema = z.object({
  positions: z.string(),
  questions: questionsSchema,
  samples: z.int(),
  layer: z.int(),
  /** Of the vector at this layer, and of every random direction. */
  norm: z.number(),
  unit: unitSchema,
  strengths: z.array(z.number()),
  points: z.array(cellSchema),
  /** Twice the lowest and the highest strength, on few texts: what too much looks like. In none of the numbers below. */
  beyond: z.array(cellSchema),
  /** The sweep's choice, measured on questions that did not choose it; null where the sweep recommends nothing. */
  chosen: cellSchema.nullable(),
  /** The strengths nearest to 0 on either side whose coherence is below the floor; null where there is none. */
  breaking: z.object({ below: z.number().nullable(), above: z.number().nullable() }),
  /** Strengths between the breaking ones, on the sides on which the unsteered score leaves room. */
  ranked: z.array(z.number()),
  /** Of strength and mean score over the ranked strengths; null where the scores do not vary. */
  spearman: z.number().nullable(),
  /** Mean score at the highest strength minus that at the lowest. */
  gain: z.number().nullable(),
  /** Rollouts of a question at each end of a random direction. */
  random_samples: z.int(),
  random: z.array(
    z.object({ draw: z.int(), low: cellSchema, high: cellSchema, gain: z.number().nullable() }),
  ),
  /** Where the gain of one more random direction falls in 95 of 100 cases. */
  random_interval: z.object({ lower: z.number(), upper: z.number() }).nullable(),
  /** Share of directions, this one included, whose gain is at least as large in size. */
  p_value: z.number().nullable(),
  coherence_floor: z.number(),
  /** Spearman at least 0.9, and a gain above the interval of random directions. */
  steers: z.boolean(),
  /** Whether the gain between the breaking strengths alone is above the interval of random directions. */
  coherent: z.boolean(),
});
export type DoseResponse = z.infer<typeof doseSchema>;

const intervalSchema = z.object({
  value: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
});

/** `projections.json`: held-out rollouts under both poles' instructions, projected on the vector. */
export const heldOutSchema = z.object({
  pooling: z.string(),
  /** Indices into the trait's evaluation questions. */
  questions: questionsSchema,
  samples: z.int(),
  /** Rollouts of each pole with a token to pool. */
  positive: z.int(),
  negative: z.int(),
  layers: z.array(
    z.object({
      /** 0 … L. */
      layer: z.int(),
      /** How often a positive rollout projects higher than a negative one. */
      auroc: intervalSchema,
      /** Cohen's d. */
      effect: intervalSchema,
      /** Spearman's correlation of projection and the judge's score, over both poles. */
      correlation: z.number().nullable(),
    }),
  ),
  /** The projections themselves at one layer, for its histogram. */
  shown: z.object({ layer: z.int(), positive: z.array(z.number()), negative: z.array(z.number()) }),
});
export type HeldOut = z.infer<typeof heldOutSchema>;

/** `directions.json`: directions beside the difference of means, compared with it. */
export const directionsSchema = z.object({
  pooling: z.string(),
  /** Whether rollouts were kept in pairs, which decides what the principal component is taken of. */
  paired: z.boolean(),
  directions: z.array(
    z.object({
      kind: z.enum(['pca', 'probe']),
      /** Its name in the vector file. */
      tensor: z.string(),
      /** With the difference of means, by layer 0 … L; null where one of them is zero. */
      cosines: z.array(z.number().nullable()),
      /** Of pca, the share of the squared lengths along it; of probe, the share of its own rollouts on their side. */
      quality: z.array(z.number().nullable()),
      converged: z.array(z.boolean()),
    }),
  ),
});
export type Directions = z.infer<typeof directionsSchema>;
