import { z } from 'zod';
import { ParseError } from '../errors.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { describeIssues } from './schema.ts';

/** What a vector file says of itself. Strings in the file, as the format wants; numbers here. */
export interface VectorMetadata {
  readonly trait: string;
  readonly model: string;
  readonly modelRevision: string | null;
  readonly modelFingerprint: string;
  /** Which of the file's tensors is meant when none is named. */
  readonly pooling: string;
  readonly method: string;
  /** Pairs of rollouts that the means were taken over, and those that were sampled. */
  readonly pairsKept: number;
  readonly pairsTotal: number;
  /** Trait score and coherence that the filter asked for. */
  readonly threshold: number;
  /**
   * Mean norm of the kept rollouts' pooled activations by layer, `[L+1]`: the scale of steering strengths. Null where it is
   * not known.
   */
  readonly residualNorms: readonly number[] | null;
  readonly recommendedLayer: number | null;
  /** Coefficient of the raw vector. */
  readonly recommendedStrength: number | null;
}

/** A vector file in memory: one `[L+1, width]` tensor per pooling. */
export interface VectorFile {
  readonly layers: number;
  readonly width: number;
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly metadata: VectorMetadata;
}

/** The same for every file: what its rows mean, in words that other tools' readers know. */
const contract = {
  format: 'persona-vectors/1',
  layer_index_base: '0',
  layer_contract:
    'row 0: embeddings; row l: residual stream after block l (counted from 1), before the final norm',
  hook_point: 'resid_post',
  normalised: 'false',
} as const;

/** Writes a vector file whole or not at all; equal arguments give equal bytes. */
export async function writeVectorFile(path: string, file: VectorFile): Promise<void> {
  const shape = [file.layers + 1, file.width];
  const tensors = [...file.tensors].map(([name, data]) => ({ name, shape, data }));
  await writeSafetensors(path, tensors, { ...contract, ...toStrings(file.metadata) });
}

/**
 * Reads a vector file.
 *
 * @throws ParseError when it is no safetensors file, was not written by this package, follows another layer
 *   contract, or holds numbers that are not finite.
 */
export async function readVectorFile(path: string): Promise<VectorFile> {
  const content = await readSafetensors(path);
  const parsed = metadataSchema.safeParse(Object.fromEntries(content.metadata));
  if (!parsed.success) throw notAVector(path, describeIssues(parsed.error));
  const tensors = new Map<string, Float32Array>();
  let common: readonly number[] | null = null;
  for (const [name, { shape, data }] of content.tensors) {
    common ??= shape;
    if (
      !(data instanceof Float32Array) ||
      shape.length !== 2 ||
      shape[0]! < 2 ||
      shape.join() !== common.join()
    ) {
      throw notAVector(
        path,
        `expected tensor "${name}" to be floats [L+1, width], got [${shape.join(', ')}]`,
      );
    }
    if (!data.every(Number.isFinite))
      throw notAVector(path, `tensor "${name}" holds numbers that are not finite`);
    tensors.set(name, data);
  }
  const metadata = fromStrings(parsed.data);
  if (common === null || !tensors.has(metadata.pooling)) {
    throw notAVector(
      path,
      `expected a tensor "${metadata.pooling}", got ${[...tensors.keys()].join(', ') || 'none'}`,
    );
  }
  if (metadata.residualNorms !== null && metadata.residualNorms.length !== common[0]) {
    throw notAVector(path, `expected ${common[0]} residual norms, got ${metadata.residualNorms.length}`);
  }
  return { layers: common[0]! - 1, width: common[1]!, tensors, metadata };
}

const count = z.string().regex(/^\d{1,12}$/, 'expected a count in digits');
const number = z.string().refine((text) => text !== '' && Number.isFinite(Number(text)), 'expected a number');
const numberList = z
  .string()
  .max(100_000)
  .transform((text, context): number[] => {
    const parsed = numberListSchema.safeParse(parseOrNull(text));
    if (parsed.success) return parsed.data;
    context.addIssue('expected a JSON list of numbers');
    return z.NEVER;
  });
const numberListSchema = z.array(z.number());
const metadataSchema = z.object({
  format: z.literal(contract.format),
  layer_index_base: z.literal(contract.layer_index_base),
  hook_point: z.literal(contract.hook_point),
  normalised: z.literal(contract.normalised),
  trait: z.string(),
  model: z.string(),
  model_revision: z.string().optional(),
  model_fingerprint: z.string(),
  pooling: z.string(),
  method: z.string(),
  pairs_kept: count,
  pairs_total: count,
  threshold: number,
  residual_norms: numberList.optional(),
  recommended_layer: count.optional(),
  recommended_strength: number.optional(),
});

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function toStrings(metadata: VectorMetadata): Record<string, string> {
  const fields: Record<string, string | number | null> = {
    trait: metadata.trait,
    model: metadata.model,
    model_revision: metadata.modelRevision,
    model_fingerprint: metadata.modelFingerprint,
    pooling: metadata.pooling,
    method: metadata.method,
    pairs_kept: metadata.pairsKept,
    pairs_total: metadata.pairsTotal,
    threshold: metadata.threshold,
    residual_norms: metadata.residualNorms === null ? null : JSON.stringify(metadata.residualNorms),
    recommended_layer: metadata.recommendedLayer,
    recommended_strength: metadata.recommendedStrength,
  };
  // The format's metadata are strings only, so what is not known is left out.
  const known = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]));
}

function fromStrings(fields: z.infer<typeof metadataSchema>): VectorMetadata {
  const optional = (text: string | undefined): number | null => (text === undefined ? null : Number(text));
  return {
    trait: fields.trait,
    model: fields.model,
    modelRevision: fields.model_revision ?? null,
    modelFingerprint: fields.model_fingerprint,
    pooling: fields.pooling,
    method: fields.method,
    pairsKept: Number(fields.pairs_kept),
    pairsTotal: Number(fields.pairs_total),
    threshold: Number(fields.threshold),
    residualNorms: fields.residual_norms ?? null,
    recommendedLayer: optional(fields.recommended_layer),
    recommendedStrength: optional(fields.recommended_strength),
  };
}

function notAVector(file: string, problem: string): ParseError {
  return new ParseError(
    `"${file}" is no persona vector: ${problem}; give the vector.safetensors of a run folder.`,
    { details: { file } },
  );
}
