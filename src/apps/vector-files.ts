import { basename, extname } from 'node:path';
import { UsageError } from '../errors.ts';
import { writePtTensor } from '../model/pt-writer.ts';
import type { PersonaVector } from '../persona/vector.ts';
import { writeControlVector } from '../store/control-vector.ts';
import { officialPoolings } from '../store/vector-import.ts';

/** Formats that a vector is written in. `pt`: the paper's authors'; `axis`: assistant-axis's; `gguf`: llama.cpp's and repeng's. */
export const exportFormats = ['safetensors', 'pt', 'axis', 'gguf'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly out: string;
  /** Of a control vector: this layer alone; default: all that it can hold. */
  readonly layer?: number | undefined;
}

/** A written file, and what a reader of it must know, in sentences. */
export interface ExportedVector {
  readonly file: string;
  readonly notes: readonly string[];
}

/**
 * Writes a vector in a format of others, whole or not at all.
 *
 * @throws UsageError where the format has no place for what is asked for.
 */
export async function exportVector(vector: PersonaVector, options: ExportOptions): Promise<ExportedVector> {
  const { format, out: file, layer } = options;
  if (layer !== undefined && format !== 'gguf') {
    throw new UsageError(`Expected a layer alone for a control vector only, got it for ${format}.`);
  }
  switch (format) {
    case 'safetensors':
      await vector.save(file);
      return { file, notes: [] };
    case 'pt':
      return { file, notes: [await writeOfficial(vector, file)] };
    case 'axis':
      return { file, notes: [await writeAxis(vector, file)] };
    case 'gguf':
      return { file, notes: await writeGgufVector(vector, file, layer) };
    default:
      return format satisfies never;
  }
}

/** The name that the authors' scripts look for, such as `evil_response_avg_diff.pt`; of other poolings, one like it. */
export function officialFileName({ metadata }: PersonaVector): string {
  const { trait, pooling } = metadata;
  const known = Object.entries(officialPoolings).find(([, ours]) => ours === pooling);
  const safe = trait.replace(/[^\p{L}\p{N}_-]+/gu, '-');
  return `${safe}_${known?.[0] ?? pooling.replace(/[^\w.-]+/g, '-')}_diff.pt`;
}

function stemOf(path: string): string {
  return basename(path, extname(path)) || 'vector';
}

async function writeOfficial(vector: PersonaVector, file: string): Promise<string> {
  const { layers, width, data, metadata } = vector;
  await writePtTensor(file, { shape: [layers + 1, width], data }, stemOf(file));
  return metadata.lastRow === 'final_norm'
    ? `Rows 0 to ${layers}, row ${layers} after the final norm, as in the authors' files.`
    : `Rows 0 to ${layers}; row ${layers} is the stream before the final norm, where the authors' files have it after the norm.`;
}

async function writeAxis(vector: PersonaVector, file: string): Promise<string> {
  const { layers, width, data } = vector;
  const missing = Array.from({ length: layers }, (_, i) => i + 1).filter(
    (layer) => !vector.usableLayers.includes(layer),
  );
  if (missing.length > 0) {
    throw new UsageError(
      `Expected a vector with a direction after every block, got one without at layer ${missing.join(', ')}; assistant-axis files have no place for gaps.`,
    );
  }
  await writePtTensor(file, { shape: [layers, width], data: data.subarray(width) }, stemOf(file));
  return `Row i is the output of block i, counted from 0: layer l is row l − 1, and layer 0 is left out.`;
}

async function writeGgufVector(
  vector: PersonaVector,
  file: string,
  layer: number | undefined,
): Promise<string[]> {
  const { layers, width, data, metadata } = vector;
  const tensors = new Map([[metadata.pooling, data]]);
  const written = await writeControlVector(
    file,
    { layers, width, tensors, metadata },
    metadata.pooling,
    layer,
  );
  const { recommendedStrength: strength, recommendedLayer } = metadata;
  const range =
    written.length === 1
      ? `layer ${written[0]} alone is written.`
      : `layers ${written[0]} to ${written.at(-1)} are written, layer 1 has no place in the format.`;
  return [
    `Layer l is direction.(l − 1), added to the output of block l − 1 counted from 0; ${range}`,
    ...(recommendedLayer === null || strength === null
      ? []
      : [
          `Recommended: --control-vector-scaled ${basename(file)}:${Number(strength.toPrecision(4))} --control-vector-layer-range ${recommendedLayer - 1} ${recommendedLayer - 1}.`,
        ]),
  ];
}
