import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../src/model/json-text.ts';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import type { TensorToWrite } from '../../src/model/safetensors-writer.ts';

/** Writes a safetensors file of float32 again with other tensors, or other metadata. */
export async function editTensors(
  file: string,
  edit: (tensors: readonly TensorToWrite[]) => readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { tensors } = await readSafetensors(file);
  const list = [...tensors].map(([name, { shape, data }]): TensorToWrite => ({ name, shape, data }));
  await writeSafetensors(file, edit(list), metadata);
}

/** Overwrites keys of a JSON file in `folder`. */
export async function editJson(folder: string, name: string, changes: JsonObject): Promise<void> {
  const file = join(folder, name);
  const json = JSON.parse(await readFile(file, 'utf8')) as JsonObject;
  await writeFile(file, JSON.stringify({ ...json, ...changes }));
}
