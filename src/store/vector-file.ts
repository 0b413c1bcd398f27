import { z } from 'zod';
import { ParseError } from '../errors.ts';
import { isFloatDtype, readSafetensors } from '../model/safetensors-content.ts';
import { readSafetensorsHeader, type TensorEntry } from '../model/safetensors.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { describeIssues } from './schema.ts';

/** What a vector file says of itself. Strings in the file, as the format wants; numbers here. */
export interface VectorMetadata {
  readonly trait: string;
  /** `unknown` where the file that the vector was read from does not say. */
  readonly model: string;
  readonly modelRevision: string | null;
  /** Hash of the weights; null where the vector was not made here. */
  readonly modelFingerprint: string | null;
  /** Which of the file's tensors is meant when none is named. */
  readonly pooling: string;
  readonly method: string;
  /** Pairs of rollouts that the means were taken over, and those that were sampled; null where nobody says. */
  readonly pairsKept: number | null;
  readonly pairsTotal: number | null;
  /** Trait score and coherence that the filter asked for; null where nobody says. */
  readonly threshold: number | null;
  /**
   * Mean norm of the kept rollouts' pooled activations by layer, `[L+1]`: the scale of steering strengths. Null where it is
   * not known.
   */
  readonly residualNorms: readonly number[] | null;
  readonly recommendedLayer: number | null;
  /** Coefficient of the raw vector. */
  readonly recommendedStrength: number | null;
  /** Where the vector came from, in words, when it was not made here. */
  readonly source?: string;
  /** Layers for which there is no direction, because the format that the vector came in has none; their rows are zeros. */
  readonly absentLayers?: readonly number[];
  /** Set where row L was taken after the model's final norm, as in the authors' files, and so is none of the stream. */
  readonly lastRow?: 'final_norm';
}

/** The metadata of a vector of which little is known. */
export function unknownOrigin(known: {
  readonly trait: string;
  readonly pooling: string;
  readonly model: string | undefined;
}): VectorMetadata {
  return {
    trait: known.trait,
    model: known.model ?? 'unknown',
    modelRevision: null,
    modelFingerprint: null,
    pooling: known.pooling,
    method: 'unknown',
    pairsKept: null,
    pairsTotal: null,
    threshold: null,
    residualNorms: null,
    recommendedLayer: null,
    recommendedStrength: null,
  };
}

/** Why nothing can be added at a layer with this vector, as the end of a sentence; null where it can. */
export function unusableReason(
  { layers, metadata }: { readonly layers: number; readonly metadata: VectorMetadata },
  layer: number,
): string | null {
  if (metadata.absentLayers?.includes(layer) === true) return 'the file it came from has no direction there';
  if (layer === layers && metadata.lastRow === 'final_norm')
    return `its row was taken after the model's final norm, so it cannot be added to the stream after block ${layer}`;
  return null;
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
  await writeSafetensors(path, tensors, toStrings(file.metadata));
}

/**
 * Reads a vector file.
 *
 * @throws ParseError when it is no safetensors file, was not written by this package, follows another layer
 *   contract, or holds numbers that are not finite.
 */
export async function readVectorFile(path: string): Promise<VectorFile> {
  const content = await readSafetensors(path);
  const outline = checkOutline(content, path);
  const tensors = new Map<string, Float32Array>();
  for (const [name, { data }] of content.tensors) {
    // Of the dtypes that the outline lets pass all are read as floats.
    if (!(data instanceof Float32Array) || !data.every(Number.isFinite))
      throw notAVector(path, `tensor "${name}" holds numbers that are not finite`);
    tensors.set(name, data);
  }
  return { ...outline, tensors };
}

/** A vector file without its numbers. */
export type VectorOutline = Omit<VectorFile, 'tensors'>;

/** What a vector file says before its numbers, which are not read; errors as `readVectorFile`, but for numbers that are not finite. */
export async function readVectorOutline(path: string): Promise<VectorOutline> {
  return checkOutline(await readSafetensorsHeader(path), path);
}

interface Outlined {
  readonly tensors: ReadonlyMap<string, Pick<TensorEntry, 'dtype' | 'shape'>>;
  readonly metadata: ReadonlyMap<string, string>;
}

function checkOutline({ tensors, metadata: strings }: Outlined, path: string): VectorOutline {
  const metadata = parseMetadata(strings, path);
  let common: readonly number[] | null = null;
  for (const [name, { dtype, shape }] of tensors) {
    common ??= shape;
    if (!isFloatDtype(dtype) || shape.length !== 2 || shape[0]! < 2 || shape.join() !== common.join()) {
      throw notAVector(
        path,
        `expected tensor "${name}" to be floats [L+1, width], got [${shape.join(', ')}]`,
      );
    }
  }
  if (common === null || !tensors.has(metadata.pooling)) {
    throw notAVector(
      path,
      `expected a tensor "${metadata.pooling}", got ${[...tensors.keys()].join(', ') || 'none'}`,
    );
  }
  if (metadata.residualNorms !== null && metadata.residualNorms.length !== common[0]) {
    throw notAVector(path, `expected ${common[0]} residual norms, got ${metadata.residualNorms.length}`);
  }
  return { layers: common[0]! - 1, width: common[1]!, metadata };
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
  model_fingerprint: z.string().optional(),
  pooling: z.string(),
  method: z.string(),
  pairs_kept: count.optional(),
  pairs_total: count.optional(),
  threshold: number.optional(),
  residual_norms: numberList.optional(),
  recommended_layer: count.optional(),
  recommended_strength: number.optional(),
  source: z.string().optional(),
  absent_layers: numberList.optional(),
  last_row: z.literal('final_norm').optional(),
});

/** The inverse of `toStrings`, with the layer contract; ParseError naming the file where a field is missing or odd. */
export function parseMetadata(strings: ReadonlyMap<string, string>, path: string): VectorMetadata {
  const parsed = metadataSchema.safeParse(Object.fromEntries(strings));
  if (!parsed.success) throw notAVector(path, describeIssues(parsed.error));
  return fromStrings(parsed.data);
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The layer contract and what is known of a vector, as strings under the names of the format's metadata. */
export function toStrings(metadata: VectorMetadata): Record<string, string> {
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
    source: metadata.source ?? null,
    absent_layers: metadata.absentLayers === undefined ? null : JSON.stringify(metadata.absentLayers),
    last_row: metadata.lastRow ?? null,
  };
  // The format's metadata are strings only, so what is not known is left out.
  const known = Object.entries(fields).filter(([, value]) => value !== null);
  return { ...contract, ...Object.fromEntries(known.map(([name, value]) => [name, String(value)])) };
}

function fromStrings(fields: z.infer<typeof metadataSchema>): VectorMetadata {
  const optional = (text: string | undefined): number | null => (text === undefined ? null : Number(text));
  return {
    trait: fields.trait,
    model: fields.model,
    modelRevision: fields.model_revision ?? null,
    modelFingerprint: fields.model_fingerprint ?? null,
    pooling: fields.pooling,
    method: fields.method,
    pairsKept: optional(fields.pairs_kept),
    pairsTotal: optional(fields.pairs_total),
    threshold: optional(fields.threshold),
    residualNorms: fields.residual_norms ?? null,
    recommendedLayer: optional(fields.recommended_layer),
    recommendedStrength: optional(fields.recommended_strength),
    ...(fields.source !== undefined && { source: fields.source }),
    ...(fields.absent_layers && { absentLayers: fields.absent_layers }),
    ...(fields.last_row && { lastRow: fields.last_row }),
  };
}

function notAVector(file: string, problem: string): ParseError {
  return new ParseError(
    `"${file}" is no persona vector: ${problem}; give the vector.safetensors of a run folder.`,
    { details: { file } },
  );
}
