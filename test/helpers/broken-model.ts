import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './source.ts';

/** The model that ships, from the root of a checkout. */
export const shippedModel: string = join(projectRoot, 'models/stories260K');

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
type Header = Record<string, HeaderEntry>;

/** Copies the shipped model to `folder`, for a test to break. */
export async function copyModel(folder: string): Promise<string> {
  await cp(shippedModel, folder, { recursive: true });
  return folder;
}

/** Rewrites the header of a copy's weights and keeps their bytes. */
export async function editHeader(folder: string, edit: (header: Header) => void): Promise<void> {
  const file = join(folder, 'model.safetensors');
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Header;
  edit(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([prefix, text, bytes.subarray(8 + length)]));
}

/** Changes the bytes of a copy's weights. */
export async function editBytes(folder: string, edit: (bytes: Buffer) => Buffer): Promise<void> {
  const file = join(folder, 'model.safetensors');
  await writeFile(file, edit(await readFile(file)));
}

/** Takes a file out of a copy. */
export async function removeFile(folder: string, name: string): Promise<void> {
  await rm(join(folder, name));
}
