/** What the routes of vectors give beside `api.ts`: a vector layer by layer, and all of them against each other. */

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
