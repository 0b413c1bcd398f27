import { safetensorsHeader } from '../model/safetensors-writer.ts';
import type { SafetensorsOutline, TensorOutline } from '../model/safetensors-writer.ts';
import type { TensorEntry } from '../model/safetensors.ts';
import { isGgufBlockType } from '../model/gguf-types.ts';
import {
  isPlain,
  type ModelWeights,
  projections,
  type WeightDtype,
  type WeightSource,
  weightSources,
} from '../model/weights.ts';
import type { FileSpan } from '../store/weight-cache-check.ts';
import type { Slice } from './quantise-slice.ts';
import { type BlockFormat, blocksPerRow, bytesPerBlock } from './quantise.ts';

/** The cache's file for one model and recipe: its header, and the slices that fill it. Without slices none is needed. */
export interface QuantisePlan {
  readonly outline: SafetensorsOutline;
  /** By tensor name: `<weight>.q` and `<weight>.scales`, or the name of a weight that is kept in plain numbers. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** In the order of the file; together they cover its data. */
  readonly slices: readonly Slice[];
}

/** Names of a quantised weight's two tensors. */
export const partNames = {
  q: (weight: string): string => `${weight}.q`,
  scales: (weight: string): string => `${weight}.scales`,
} as const;

/**
 * Plans which tensors are quantised (every projection and the head; none where `format` is null) and which are kept in
 * plain numbers because the runtime cannot read, or should not hold, what the checkpoint's file has: blocks and interleaved
 * rows of GGUF, and beside quantised weights an embedding that is not in 16 bits. It follows from shapes, dtypes and recipe
 * alone.
 */
export function planQuantisation(
  weights: ModelWeights<WeightSource>,
  format: BlockFormat | null,
): QuantisePlan {
  const quantised = format === null ? [] : quantisedSources(weights);
  const { embedding } = weights;
  const jobs = quantised.map((source): Job => ({ source, format: format! }));
  for (const source of weightSources(weights)) {
    const isEmbedding = source === embedding;
    if (quantised.includes(source) && !isEmbedding) continue;
    const dtype = plainDtype(source, isEmbedding && format !== null);
    if (dtype !== null) jobs.push({ source, format: dtype });
  }
  const outline = safetensorsHeader(jobs.flatMap(outlineTensors));
  const entries = new Map(outline.entries.map((entry) => [entry.name, entry]));
  const slices = jobs.flatMap((job) =>
    cutRows(
      job,
      outlineTensors(job).map(({ name }) => entries.get(name)!),
    ),
  );
  return { outline, entries, slices };
}

/** A source that two roles share, such as a tied head's, is quantised once. */
function quantisedSources(weights: ModelWeights<WeightSource>): WeightSource[] {
  const blocks = weights.blocks.flatMap((block) => projections.map((name) => block.projections[name].weight));
  return [...new Set([...blocks, weights.head])];
}

/** What a weight is kept as in the cache; null where the runtime reads it in the checkpoint's own file. */
function plainDtype(source: WeightSource, asHalf: boolean): WeightDtype | null {
  const { dtype } = source;
  if (isGgufBlockType(dtype)) return asHalf ? 'F16' : 'F32';
  if (asHalf && dtype === 'F32') return 'F16';
  return isPlain(source) ? null : dtype;
}

/** Weights of a slice at most, unless a single row has more: 8 MB in float32. */
export const SLICE_WEIGHTS = 2 ** 21;

interface Job {
  readonly source: WeightSource;
  readonly format: BlockFormat | WeightDtype;
}

function outlineTensors({ source: { name, shape }, format }: Job): TensorOutline[] {
  if (typeof format === 'string') return [{ name, dtype: format, shape }];
  const [rows, columns] = shape as readonly [number, number];
  const blocks = blocksPerRow(columns, format);
  return [
    { name: partNames.q(name), dtype: 'U8', shape: [rows, blocks, bytesPerBlock(format)] },
    { name: partNames.scales(name), dtype: 'F32', shape: [rows, blocks] },
  ];
}

function cutRows({ source, format }: Job, tensors: readonly TensorEntry[]): Slice[] {
  const [rows = 1, columns = 1] = source.shape;
  const step = Math.max(1, Math.floor(SLICE_WEIGHTS / columns));
  return Array.from({ length: Math.ceil(rows / step) }, (_, i): Slice => {
    const firstRow = i * step;
    const count = Math.min(step, rows - firstRow);
    const target = tensors.map(({ offset, byteLength }): FileSpan => {
      const rowBytes = byteLength / rows;
      return { offset: offset + firstRow * rowBytes, byteLength: count * rowBytes };
    });
    return { source, firstRow, rows: count, format, target };
  });
}
