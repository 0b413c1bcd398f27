import type { Dtype } from './model.ts';
import { planQuantisation } from './quantise-plan.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { projections, type WeightSource, weightSources } from '../model/weights.ts';

/** How weights are loaded; as in `LoadOptions`. */
export interface WeightForm {
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
  /** For generation the runtime holds fp32 weights a second time, packed for single-token steps. */
  readonly purpose: 'generate' | 'one-pass';
}

/** Bytes of memory that the engine holds of a model's weights, beside its code and the batch in hand. */
export function weightMemory(checkpoint: Checkpoint, form: WeightForm): number {
  const parameters = sum(weightSources(checkpoint.weights).map(elements));
  const cached = quantisedBytes(checkpoint, form);
  if (cached === null) return (form.purpose === 'generate' ? 8 : 4) * parameters;
  const { embedding } = checkpoint.weights;
  return cached + (embedding.dtype === 'F32' ? 0 : embedding.byteLength);
}

/** Bytes of the file that the cache keeps of quantised weights; null where none are quantised. */
export function quantisedBytes(
  { weights }: Pick<Checkpoint, 'weights'>,
  { dtype = 'fp32', blockSize = 32 }: Pick<WeightForm, 'dtype' | 'blockSize'>,
): number | null {
  if (dtype === 'fp32') return null;
  return planQuantisation(weights, { bits: dtype === 'int8' ? 8 : 4, blockSize }).outline.fileLength;
}

/** Numbers of a weight. */
export function elements({ shape }: Pick<WeightSource, 'shape'>): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

/** Operations of the products of one token; a multiplication and its addition are two. */
export function operationsPerToken({ weights }: Pick<Checkpoint, 'weights'>): number {
  return (
    2 *
    sum(
      weights.blocks.flatMap((block) => projections.map((name) => elements(block.projections[name].weight))),
    )
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
