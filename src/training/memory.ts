import { type WeightForm, elements, weightMemory } from '../engine/model-memory.ts';
import { UsageError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { projectionShapes } from '../model/locate-weights.ts';
import { projections, weightSources } from '../model/weights.ts';
import { availableMemory } from '../util/memory.ts';
import { layLines } from './lines.ts';
import type { TrainerOptions, TrainingRow } from './types.ts';

/** Bytes by what they are for. */
export interface TrainingMemory {
  /** Frozen weights; 0 where all are trained. */
  readonly frozen: number;
  /** Trained numbers, with their gradients and moments. */
  readonly trained: number;
  /** What the forward pass of the largest pass keeps for its backward pass, and the loss. */
  readonly activations: number;
  /** The program itself and the runtime. */
  readonly program: number;
  readonly total: number;
}

/** Measured: Node, this package and the runtime, before a model is loaded. */
const programBytes = 180e6;
const floatBytes = 4;
/** Measured: what the runtime's allocator holds for each byte in use. */
const allocatorShare = 1.15;

/**
 * Estimates the peak memory of a training from its largest pass. What grows (weights, moments, activations) is counted as the
 * graph has it; against measured peaks of models of 8 blocks it is off by less than a fifth.
 */
export function estimateTrainingMemory(
  checkpoint: Checkpoint,
  options: TrainerOptions,
  pass: readonly TrainingRow[],
): TrainingMemory {
  const { method, dtype = 'fp32', blockSize = 32 } = options;
  const form: WeightForm = { dtype, blockSize, purpose: 'one-pass' };
  const frozen = method.kind === 'full' ? 0 : weightMemory(checkpoint, form);
  const trained = trainedCount(checkpoint, options) * floatBytes * copies(options);
  const activations = activationCount(checkpoint, options, pass) * floatBytes;
  return {
    frozen,
    trained,
    activations,
    program: programBytes,
    total: frozen + trained + activations + programBytes,
  };
}

/**
 * Refuses a training that cannot fit the memory there is.
 *
 * @throws UsageError with both numbers and what makes it smaller.
 */
export function requireMemory(memory: TrainingMemory, available: number = availableMemory()): void {
  if (memory.total - memory.program <= available) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new UsageError(
    `Expected a training that fits the ${gigabytes(available)} of memory there are, got one that takes about ${gigabytes(memory.total)} (frozen weights ${gigabytes(memory.frozen)}, trained numbers with moments ${gigabytes(memory.trained)}, activations ${gigabytes(memory.activations)}); set "recompute" to true, lower "per_device_train_batch_size" or "max_seq_length", or use "dtype": "int8".`,
    { details: { available, needed: memory.total } },
  );
}

/** The numbers themselves, their gradient, what is gathered of it, and the optimiser's moments. */
function copies({ optimizer = { kind: 'adamw' } }: TrainerOptions): number {
  const moments = optimizer.kind === 'adamw' ? 2 : (optimizer.momentum ?? 0) > 0 ? 1 : 0;
  return 3 + moments;
}

function trainedCount(checkpoint: Checkpoint, { method }: TrainerOptions): number {
  if (method.kind === 'full')
    return weightSources(checkpoint.weights).reduce((sum, source) => sum + elements(source), 0);
  const shapes = projectionShapes(checkpoint.config);
  const { targets = projections, rank, blocks } = method;
  const perBlock = targets.reduce((sum, name) => sum + rank * (shapes[name][0] + shapes[name][1]), 0);
  return perBlock * (blocks?.length ?? checkpoint.config.layers);
}

/** Numbers that are alive at the widest point of a pass. */
function activationCount(
  { config }: Checkpoint,
  { recompute = false, pack = true }: TrainerOptions,
  rows: readonly TrainingRow[],
): number {
  const { count, length } = layLines(rows, pack);
  const tokens = count * length;
  const queries = rows.reduce((sum, { weights }) => sum + weights.filter((weight) => weight > 0).length, 0);
  const { width, heads, kvHeads, headSize, mlpWidth, layers, vocabSize } = config;
  // A block keeps its norms, q, k, v before and after their rotation and regrouping, what attention mixed, and the four
  // stages of the MLP; of every head, scores before and after the softmax.
  const streams = 8 * width + 4 * heads * headSize + 4 * kvHeads * headSize + 4 * mlpWidth;
  const scores = 3 * heads * length;
  const block = tokens * (streams + scores);
  const kept = recompute ? layers * tokens * width + 2 * block : (layers + 1) * block;
  // Logits, their logarithms and their gradient.
  return allocatorShare * (kept + 4 * queries * vocabSize);
}
