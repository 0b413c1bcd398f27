import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { encodeF16, LARGEST_HALF } from '../engine/quantise-half.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { encodeBf16 } from '../model/float-formats.ts';
import { readGgufModel } from '../model/gguf-checkpoint.ts';
import { streamSafetensors } from '../model/safetensors-writer.ts';
import type { WeightDtype } from '../model/weights.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { ModelError, UsageError } from '../errors.ts';
import type { NamedTensor } from './types.ts';

/**
 * Writes a whole model in Hugging Face layout: model.safetensors in `dtype`, and beside it the checkpoint's other small
 * files (configuration, tokenizer, template). The folder is made where it is missing; config.json is written last.
 *
 * @throws UsageError for the checkpoint's own folder; ModelError for a number that F16 cannot hold.
 */
export async function saveModel(
  folder: string,
  checkpoint: Checkpoint,
  tensors: readonly NamedTensor[],
  dtype: WeightDtype,
): Promise<void> {
  refuseSameFolder(folder, checkpoint);
  await mkdir(folder, { recursive: true });
  await streamSafetensors(
    join(folder, 'model.safetensors'),
    tensors.map(({ name, shape }) => ({ name, dtype, shape })),
    (_, i) => Promise.resolve(encodeFloats(tensors[i]!.name, tensors[i]!.data, dtype)),
    { format: 'pt' },
  );
  await copyModelFiles(folder, checkpoint, dtype);
}

/** The numbers in the bytes of `dtype`. */
export function encodeFloats(
  name: string,
  data: Float32Array,
  dtype: WeightDtype,
): Float32Array | Uint16Array {
  if (dtype === 'F32') return data;
  const target = new Uint16Array(data.length);
  if (dtype === 'BF16') {
    encodeBf16(data, target);
    return target;
  }
  const large = data.find((value) => Math.abs(value) > LARGEST_HALF);
  if (large !== undefined)
    throw new ModelError(
      `expected numbers up to ${LARGEST_HALF} in ${name} to save it as F16, got ${large}; save as BF16 or F32`,
      { details: { tensor: name, got: large } },
    );
  encodeF16(data, target);
  return target;
}

/**
 * Copies what a model folder holds beside its weights: JSON files, templates, vocabularies and notes; of a GGUF file what
 * its metadata say, as such files. config.json names the dtype that the weights now have.
 */
export async function copyModelFiles(
  folder: string,
  checkpoint: Checkpoint,
  dtype: WeightDtype | null,
): Promise<void> {
  const config =
    checkpoint.file === null
      ? await copySmallFiles(folder, checkpoint.folder)
      : await writeDocuments(folder, checkpoint.file);
  await writeDocument(folder, 'config.json', dtype === null ? config : withDtype(config, dtype));
}

/** Copies all but config.json, which is given back. */
async function copySmallFiles(folder: string, from: string): Promise<Record<string, unknown>> {
  const entries = await readdir(from, { withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory() && isModelFile(entry.name))
    .map((entry) => entry.name);
  for (const name of names.filter((name) => name !== 'config.json')) {
    await copyFile(join(from, name), join(folder, name));
  }
  return JSON.parse(await readFile(join(from, 'config.json'), 'utf8')) as Record<string, unknown>;
}

async function writeDocuments(folder: string, gguf: string): Promise<Record<string, unknown>> {
  const { documents } = await readGgufModel(gguf);
  for (const [name, document] of documents)
    if (name !== 'config.json') await writeDocument(folder, name, document);
  return { ...documents.get('config.json') };
}

async function writeDocument(folder: string, name: string, document: object): Promise<void> {
  await writeFileAtomically(join(folder, name), async (handle) => {
    await handle.writeFile(`${JSON.stringify(document, null, 2)}\n`);
  });
}

/** @throws UsageError where a model would be written over the one that it is made from. */
export function refuseSameFolder(folder: string, checkpoint: Checkpoint): void {
  if (resolve(folder) !== resolve(checkpoint.folder)) return;
  throw new UsageError(
    `expected a folder other than the model's own to save into, got "${folder}"; name a new one`,
    { details: { folder } },
  );
}

function isModelFile(name: string): boolean {
  if (name === 'model.safetensors.index.json' || name.startsWith('adapter_')) return false;
  return /\.(?:json|txt|jinja|model)$/.test(name) || /^(?:LICENSE|NOTICE|USE_POLICY)/.test(name);
}

/** `dtype` is the key of transformers 5, `torch_dtype` that of 4. */
function withDtype(config: Record<string, unknown>, dtype: WeightDtype): Record<string, unknown> {
  const value = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[dtype];
  const keys = ['dtype', 'torch_dtype'].filter((key) => key in config);
  return {
    ...config,
    ...Object.fromEntries((keys.length === 0 ? ['torch_dtype'] : keys).map((key) => [key, value])),
  };
}
