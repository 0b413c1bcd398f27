import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { join } from 'node:path';
import type { Checkpoint } from './checkpoint.ts';
import { readGgufHeader } from './gguf-header.ts';
import { openFile, readExactly } from './read-bytes.ts';
import { readSafetensorsHeader } from './safetensors.ts';

const EDGE_BYTES = 65_536;
const PAGE_BYTES = 4096;
const PAGES = 64;

/**
 * A hash that tells checkpoints apart without reading all of them: SHA-256, in hexadecimal, over config.json (in a
 * GGUF file the header says the same) and, of every weight file, its length, its whole header, its first and last 64 KiB
 * and 64 evenly spaced pages of 4 KiB.
 *
 * Any training step changes every page, so another training, another revision and another format show. A change of a
 * few bytes between the sampled pages does not, nor does one of the tokenizer or the chat template. Of a model on a server
 * nothing is known but its kind of server, its name there and its config.json, which are hashed; its address may change. An adapter counts with all of its numbers.
 *
 * @throws UsageError when a file is gone; ParseError when one has changed so that it is no longer sound.
 */
export async function checkpointFingerprint(
  checkpoint: Pick<Checkpoint, 'folder' | 'file' | 'remote' | 'weightFiles' | 'adapted'>,
): Promise<string> {
  const hash = createHash('sha256');
  if (checkpoint.adapted !== undefined) {
    const { base, adapter } = checkpoint.adapted;
    return hash.update(`${await checkpointFingerprint(base)}\n${adapter.sha256}`).digest('hex');
  }
  if (checkpoint.remote !== null) {
    hash.update(`${checkpoint.remote.kind} ${checkpoint.remote.model}\n`);
    if (checkpoint.file === null) await hashWhole(hash, join(checkpoint.folder, 'config.json'));
    else await hashSamples(hash, checkpoint.file, (await readGgufHeader(checkpoint.file)).dataStart);
    return hash.digest('hex');
  }
  if (checkpoint.file === null) await hashWhole(hash, join(checkpoint.folder, 'config.json'));
  const read = checkpoint.file === null ? readSafetensorsHeader : readGgufHeader;
  for (const path of checkpoint.weightFiles) await hashSamples(hash, path, (await read(path)).dataStart);
  return hash.digest('hex');
}

async function hashWhole(hash: Hash, path: string): Promise<void> {
  const file = await openFile(path);
  try {
    const bytes = new Uint8Array(file.size);
    await readExactly(file, bytes, 0);
    hash.update(`${file.size}\n`).update(bytes);
  } finally {
    await file.handle.close();
  }
}

async function hashSamples(hash: Hash, path: string, dataStart: number): Promise<void> {
  const file = await openFile(path);
  try {
    hash.update(`${file.size}\n`);
    for (const [start, length] of sampledRanges(file.size, dataStart)) {
      const bytes = new Uint8Array(length);
      await readExactly(file, bytes, start);
      hash.update(bytes);
    }
  } finally {
    await file.handle.close();
  }
}

/** `[start, length]` of the parts of a file of `size` bytes that are hashed, all within the file. */
function sampledRanges(size: number, dataStart: number): readonly (readonly [number, number])[] {
  const edge = Math.min(EDGE_BYTES, size);
  const page = Math.min(PAGE_BYTES, size);
  const pages = Array.from({ length: PAGES }, (_, i): readonly [number, number] => [
    Math.floor(((size - page) * i) / (PAGES - 1)),
    page,
  ]);
  return [[0, dataStart], [0, edge], [size - edge, edge], ...pages];
}
