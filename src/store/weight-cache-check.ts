import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { openFile, type OpenFile, readExactly, readSmallFile } from '../model/read-bytes.ts';
import type { SafetensorsOutline } from '../model/safetensors-writer.ts';
import { sha256 } from '../util/hash.ts';
import { isTemporary, writeJson } from './files.ts';
import { fileState } from './file-state.ts';
import { describeIssues } from './schema.ts';

/** Bytes inside the cache's file. */
export interface FileSpan {
  readonly offset: number;
  readonly byteLength: number;
}

/** What a folder of cached weights must hold; all of it follows from the checkpoint and the recipe. */
export interface WeightCacheContent {
  readonly folder: string;
  /** How messages name the model. */
  readonly model: string;
  /** `checkpointFingerprint` of the weights that these were made from. */
  readonly fingerprint: string;
  readonly recipe: string;
  /** Changes when equal weights give other bytes. */
  readonly version: number;
  readonly outline: SafetensorsOutline;
  /**
   * Pieces in which the data are written and hashed: the SHA-256 of a piece is that of its spans one after the other.
   * Together they cover the file from the end of its header.
   */
  readonly pieces: readonly (readonly FileSpan[])[];
}

/** Changes when a reader of an older folder would misread a newer one. */
export const WEIGHT_CACHE_SCHEMA = 1;

/** `manifest.json`, written last: without it the weights beside it are unfinished. */
const manifestSchema = z.object({
  schema: z.literal(WEIGHT_CACHE_SCHEMA),
  kind: z.literal('weights'),
  package: z.object({ name: z.string(), version: z.string() }),
  model: z.string(),
  fingerprint: z.string(),
  recipe: z.string(),
  version: z.int(),
  bytes: z.int(),
  /** SHA-256 of every piece. */
  pieces: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
});
export type WeightCacheManifest = z.infer<typeof manifestSchema>;

/** `verified.json`: which state of the file was last hashed whole, and against which manifest. */
const verifiedSchema = z.object({ manifest: z.string(), file: z.string() });

/** Files of a folder of cached weights. */
export function cacheFiles(folder: string): {
  readonly weights: string;
  readonly manifest: string;
  readonly verified: string;
} {
  return {
    weights: join(folder, 'weights.safetensors'),
    manifest: join(folder, 'manifest.json'),
    verified: join(folder, 'verified.json'),
  };
}

/** `problem` is a clause that says why the weights there cannot be used. */
export type WeightCacheState =
  | { readonly state: 'sound' }
  | { readonly state: 'absent' }
  | { readonly state: 'unusable'; readonly problem: string };

/** Whether a folder's entry is what a killed build left of one of the files. */
export function isLeftover(name: string): boolean {
  return isTemporary(name) && Object.values(cacheFiles('')).some((file) => name.startsWith(`.${file}.`));
}

/**
 * Whether the folder holds this content.
 *
 * Checked every time: the manifest against `content`, the file's length, its header byte by byte, and the SHA-256 of
 * the first, the last and 14 pieces spread evenly between them. The SHA-256 of every piece is checked when the file is not the one that was hashed
 * whole before, by its inode, length, time of modification and time of change: so any write to it, any copy and any
 * replacement is noticed. Not noticed are bytes that the disk itself lost after that, outside the sampled pieces.
 */
export async function checkWeightCache(content: WeightCacheContent): Promise<WeightCacheState> {
  const files = cacheFiles(content.folder);
  const before = await fileState(files.weights);
  const text = await readSmallFile(files.manifest, MAX_MANIFEST_BYTES).catch(() => null);
  if (text === null) {
    const isUnfinished = before !== null || (await hasLeftovers(content.folder));
    return isUnfinished ? unusable('a process ended while it wrote them') : { state: 'absent' };
  }
  const manifest = parseManifest(text);
  if (typeof manifest === 'string') return unusable(manifest);
  const mismatch = compareManifest(manifest, content);
  if (mismatch !== null) return unusable(mismatch);
  if (before === null) return unusable('their file is missing');
  const verified = await isVerified(files.verified, text, before);
  const problem = await checkFile(files.weights, content, manifest, !verified);
  if (problem !== null) return unusable(problem);
  if (!verified) await noteVerified(files.verified, text, before);
  return { state: 'sound' };
}

/** Remembers that the file, which this process has just written whole, needs no hashing in its present state. */
export async function noteWritten(folder: string): Promise<void> {
  const files = cacheFiles(folder);
  await sleep(TICK_MS);
  const [manifest, state] = await Promise.all([
    readSmallFile(files.manifest, MAX_MANIFEST_BYTES),
    fileState(files.weights),
  ]);
  if (state !== null) await noteVerified(files.verified, manifest, state);
}

/** Some 70 bytes for every two million weights: far beyond any model. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024;
/** A record has some hundred bytes. */
const MAX_VERIFIED_BYTES = 4096;
/** Pieces that are hashed at every start: some 30 MB of 8-bit weights. */
const SAMPLES = 16;
/** While one piece is hashed in this thread, a millisecond at a time, the next are read in the runtime's own. */
const LANES = 3;

/** The system's clock of files moves in steps of up to 10 ms; a write within the same step would not show. */
const TICK_MS = 20;

/** Where the folder cannot be written, everything is hashed again next time. */
async function noteVerified(path: string, manifest: Uint8Array, file: string): Promise<void> {
  await writeJson(path, { manifest: sha256(manifest), file }).catch(() => undefined);
}

function unusable(problem: string): WeightCacheState {
  return { state: 'unusable', problem };
}

async function hasLeftovers(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((): string[] => []);
  return names.some((name) => isLeftover(name));
}

/** The manifest, or what is wrong with it. */
function parseManifest(text: Uint8Array): WeightCacheManifest | string {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(text));
  } catch {
    return 'their manifest is no JSON';
  }
  const parsed = manifestSchema.safeParse(json);
  return parsed.success ? parsed.data : `their manifest is of another kind (${describeIssues(parsed.error)})`;
}

function compareManifest(manifest: WeightCacheManifest, content: WeightCacheContent): string | null {
  const { fingerprint, recipe, version, outline, pieces } = content;
  if (manifest.fingerprint !== fingerprint) return 'they were made from other weights';
  if (manifest.recipe !== recipe) return `they are of the recipe ${manifest.recipe}`;
  if (manifest.version !== version)
    return `they are of version ${manifest.version}, this is version ${version}`;
  const isWhole = manifest.bytes === outline.fileLength && manifest.pieces.length === pieces.length;
  return isWhole ? null : 'their manifest tells of other tensors';
}

async function isVerified(path: string, manifest: Uint8Array, file: string): Promise<boolean> {
  try {
    const text = new TextDecoder().decode(await readSmallFile(path, MAX_VERIFIED_BYTES));
    const record = verifiedSchema.parse(JSON.parse(text));
    return record.file === file && record.manifest === sha256(manifest);
  } catch {
    return false;
  }
}

/** What is wrong with the file, or null. */
async function checkFile(
  path: string,
  { outline, pieces }: WeightCacheContent,
  manifest: WeightCacheManifest,
  everything: boolean,
): Promise<string | null> {
  const file = await openFile(path);
  try {
    if (file.size !== outline.fileLength) {
      return `their file has ${file.size} bytes instead of ${outline.fileLength}`;
    }
    const header = new Uint8Array(outline.bytes.byteLength);
    await readExactly(file, header, 0);
    if (Buffer.compare(header, outline.bytes) !== 0) return 'the header of their file is damaged';
    const wanted = everything ? [...pieces.keys()] : spread(pieces.length, SAMPLES);
    const damaged = await findDamaged(file, wanted, pieces, manifest.pieces);
    return damaged === null ? null : `piece ${damaged + 1} of ${pieces.length} of their file is damaged`;
  } finally {
    await file.handle.close();
  }
}

/** The first and last of `count` indices and others evenly between them, at most `most`. */
function spread(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

/** The lowest of the wanted pieces that is known to be damaged, or null. */
async function findDamaged(
  file: OpenFile,
  wanted: readonly number[],
  pieces: readonly (readonly FileSpan[])[],
  hashes: readonly string[],
): Promise<number | null> {
  const damaged: number[] = [];
  const queue = wanted.values();
  const longest = Math.max(0, ...wanted.map((index) => pieceBytes(pieces[index]!)));
  const lane = async (): Promise<void> => {
    const buffer = new Uint8Array(longest);
    for (const index of queue) {
      if (damaged.length > 0) return;
      if ((await hashPiece(file, pieces[index]!, buffer)) !== hashes[index]) damaged.push(index);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return damaged.length === 0 ? null : Math.min(...damaged);
}

async function hashPiece(file: OpenFile, spans: readonly FileSpan[], buffer: Uint8Array): Promise<string> {
  let at = 0;
  for (const { offset, byteLength } of spans) {
    await readExactly(file, buffer.subarray(at, at + byteLength), offset);
    at += byteLength;
  }
  return sha256(buffer.subarray(0, at));
}

function pieceBytes(spans: readonly FileSpan[]): number {
  return spans.reduce((sum, span) => sum + span.byteLength, 0);
}
