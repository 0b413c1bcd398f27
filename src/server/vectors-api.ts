/** What the routes of vectors give beside `api.ts`: a vector layer by layer, what it was measured to do, and all of them against each other. */

import { z } from '@hono/zod-openapi';

export const vectorLayers = z
  .object({
    name: z.string(),
    norms: z.array(z.number()).openapi({ description: 'Euclidean length by layer, [L+1]' }),
    residual_norms: z
      .array(z.number())
      .nullable()
      .openapi({ description: 'Mean norm of the activations that it was found in, [L+1]' }),
    usable_layers: z.array(z.int()).openapi({ description: 'Those that can be steered at' }),
    poolings: z.array(z.string()).openapi({ description: 'What its file holds' }),
    method: z.string(),
    model_revision: z.string().nullable(),
    pairs_kept: z.int().nullable(),
    pairs_total: z.int().nullable(),
    threshold: z.number().nullable(),
    source: z.string().nullable().openapi({ description: 'Where it came from, if it was not made here' }),
    deletable: z.boolean().openapi({ description: 'False for a run of `persona extract`' }),
  })
  .openapi('VectorLayers');
export type VectorLayers = z.infer<typeof vectorLayers>;

const validationCell = z.object({
  layer: z.int(),
  strength: z.number().openapi({ description: 'In the unit of the sweep' }),
  coef: z.number().openapi({ description: 'Coefficient of the raw vector' }),
  score: z.number().nullable().openapi({ description: 'Mean trait score, 0 to 100' }),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  coherence: z.number().nullable().openapi({ description: 'Mean coherence, 0 to 100' }),
  coherence_lower: z.number().nullable(),
  coherence_upper: z.number().nullable(),
  rollouts: z.int(),
  unscored: z.int(),
});
const validation = z.object({
  file: z.string().openapi({ description: 'Its path below the run, or beside the vector' }),
  pooling: z.string().openapi({ description: 'What the vector that was added is the mean of' }),
  positions: z.string().openapi({ description: 'Where it was added' }),
  unit: z.enum(['fraction', 'norm', 'coef']).openapi({
    description:
      "Of strengths: length as a share of the residual stream's, length, or coefficient of the raw vector",
  }),
  coherence_floor: z.number(),
  unsteered: z.object({ score: z.number().nullable(), coherence: z.number().nullable() }),
  cells: z.array(validationCell).openapi({ description: 'With the vector added; 95 % intervals' }),
  random: z
    .array(validationCell)
    .openapi({ description: 'The same with a random direction of the same length' }),
  chosen: z
    .object({ layer: z.int(), strength: z.number() })
    .nullable()
    .openapi({ description: 'Most of the trait at a positive strength with coherent text' }),
});
export const vectorValidation = z
  .object({
    name: z.string(),
    validations: z
      .array(validation)
      .openapi({ description: 'The run’s own first; none where nothing was measured' }),
  })
  .openapi('VectorValidation');
export type VectorValidation = z.infer<typeof vectorValidation>;

export const cosinesQuery = z.strictObject({
  layer: z.coerce.number().int().min(0).exactOptional().openapi({
    description: 'Default: the first that a vector recommends, or the middle one',
  }),
});
export type CosinesQuery = z.infer<typeof cosinesQuery>;

export const vectorCosines = z
  .object({
    layer: z.int(),
    layers: z.int().openapi({ description: 'The most that one of the vectors has' }),
    groups: z
      .array(
        z.object({
          layers: z.int(),
          width: z.int(),
          names: z.array(z.string()),
          cosines: z
            .array(z.array(z.number().nullable()))
            .openapi({ description: 'Of each with each; null where one of them has no direction' }),
        }),
      )
      .openapi({ description: 'Vectors of one shape each: others cannot be compared' }),
    left_out: z
      .array(z.string())
      .openapi({ description: 'Vectors that have no such layer, or are beyond the first hundred' }),
  })
  .openapi('VectorCosines');
export type VectorCosines = z.infer<typeof vectorCosines>;
