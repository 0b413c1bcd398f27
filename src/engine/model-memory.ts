import { adapterChunks } from './adapter-chunks.ts';
import type { Dtype } from './model.ts';
import { planQuantisation, type QuantisePlan } from './quantise-plan.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { projections, type WeightSource, weightSources } from '../model/weights.ts';

/** How weights are loaded; as in `LoadOptions`. */
export interface WeightForm {
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
  /** For generation the runtime holds fp32 weights a second time, packed for single-token steps. */
  readonly purpose: 'generate' | 'one-pass';
}

/** Bytes of memory that the engine holds of a model's weights and its adapter's, beside its code and the batch in hand. */
export function weightMemory(checkpoint: Checkpoint, form: WeightForm): number {
  return baseMemory(checkpoint, form) + adapterMemory(checkpoint);
}

/** As loaded, and as cut for the graph. */
function adapterMemory({ adapted }: Checkpoint): number {
  if (adapted === undefined) return 0;
  const pairs = adapted.adapter.blocks.flatMap((block) => Object.values(block));
  const chunks = adapterChunks(adapted.adapter).flatMap((block) => Object.values(block));
  return 4 * sum([...pairs, ...chunks].map(({ a, b }) => a.length + b.length));
}

function baseMemory(checkpoint: Checkpoint, form: WeightForm): number {
  const parameters = sum(weightSources(checkpoint.weights).map(elements));
  const { dtype = 'fp32' } = form;
  if (dtype === 'fp32') return (form.purpose === 'generate' ? 8 : 4) * parameters;
  const { embedding } = checkpoint.weights;
  const { outline, entries } = planCache(checkpoint, form);
  return outline.fileLength + (entries.has(embedding.name) ? 0 : embedding.byteLength);
}

/** Bytes of the file that the cache keeps of a model's weights; null where they are read in the model's own files. */
export function cachedBytes(
  checkpoint: Pick<Checkpoint, 'weights'>,
  form: Pick<WeightForm, 'dtype' | 'blockSize'>,
): number | null {
  const { outline, slices } = planCache(checkpoint, form);
  return slices.length === 0 ? null : outline.fileLength;
}

function planCache(
  { weights }: Pick<Checkpoint, 'weights'>,
  { dtype = 'fp32', blockSize = 32 }: Pick<WeightForm, 'dtype' | 'blockSize'>,
): QuantisePlan {
  return planQuantisation(weights, dtype === 'fp32' ? null : { bits: dtype === 'int8' ? 8 : 4, blockSize });
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
