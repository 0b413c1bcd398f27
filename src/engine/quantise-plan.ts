import { safetensorsHeader } from '../model/safetensors-writer.ts';
import type { SafetensorsOutline, TensorOutline } from '../model/safetensors-writer.ts';
import type { TensorEntry } from '../model/safetensors.ts';
import { projections } from '../model/weights.ts';
import type { ModelWeights, WeightSource } from '../model/weights.ts';
import type { FileSpan } from '../store/weight-cache-check.ts';
import type { Slice } from './quantise-slice.ts';
import { type BlockFormat, blocksPerRow, bytesPerBlock } from './quantise.ts';

/** The cache's file for one model and recipe: its header, and the slices that fill it. */
export interface QuantisePlan {
  readonly outline: SafetensorsOutline;
  /** By tensor name (`<weight>.q`, `<weight>.scales`, and the embedding's own). */
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
 * Plans which tensors are quantised (every projection and the head) or stored as F16 (an embedding in F32), where they
 * lie, and in which slices they are made. It follows from shapes, dtypes and recipe alone.
 */
export function planQuantisation(weights: ModelWeights<WeightSource>, format: BlockFormat): QuantisePlan {
  const jobs = [
    // A source that two roles share, such as a tied head's, is quantised once.
    ...new Set(weights.blocks.flatMap((block) => projections.map((name) => block.projections[name].weight))),
  ].map((source): Job => ({ source, format }));
  jobs.push({ source: weights.head, format });
  if (weights.embedding.dtype === 'F32') jobs.push({ source: weights.embedding, format: null });
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

/** Weights of a slice at most, unless a single row has more: 8 MB in float32. */
export const SLICE_WEIGHTS = 2 ** 21;

interface Job {
  readonly source: WeightSource;
  readonly format: BlockFormat | null;
}

function outlineTensors({ source: { name, shape }, format }: Job): TensorOutline[] {
  if (format === null) return [{ name, dtype: 'F16', shape }];
  const [rows, columns] = shape as readonly [number, number];
  const blocks = blocksPerRow(columns, format);
  return [
    { name: partNames.q(name), dtype: 'U8', shape: [rows, blocks, bytesPerBlock(format)] },
    { name: partNames.scales(name), dtype: 'F32', shape: [rows, blocks] },
  ];
}

function cutRows({ source, format }: Job, tensors: readonly TensorEntry[]): Slice[] {
  const [rows, columns] = source.shape as readonly [number, number];
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
