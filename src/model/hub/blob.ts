import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ParseError, PersonaError } from '../../errors.ts';
import { writeFailure } from '../../util/atomic-file.ts';
import {
  type ByteSource,
  type Checksum,
  hashFile,
  receiveRest,
  ResumedFile,
} from '../../util/http/resumed-file.ts';
import type { Patience } from '../../util/http/retry.ts';
import { openFile, pathKind } from '../read-bytes.ts';
import { startChecksum } from './checksum.ts';
import { askHub } from './client.ts';
import type { Connection } from './client.ts';
import type { HubFile } from './listing.ts';

/** Where a file comes from. */
export interface BlobSource {
  readonly connection: Connection;
  /** `owner/name`. */
  readonly repo: string;
  /** As the user named it, for sentences. */
  readonly revision: string;
  readonly commit: string;
  readonly patience: Patience;
}

export interface BlobOptions {
  readonly signal: AbortSignal | undefined;
  /** Told of bytes that came, and with a negative number of bytes that have to come again. */
  readonly onBytes: (count: number) => void;
  readonly onNote: ((line: string) => void) | undefined;
}

/**
 * Whether the folder of blobs has this file with the right size and hash.
 *
 * @throws AbortError; UsageError where it may not be read.
 */
export async function isBlobRight(
  blobs: string,
  file: HubFile,
  options: Pick<BlobOptions, 'signal' | 'onBytes'>,
): Promise<'right' | 'wrong' | 'missing'> {
  const path = join(blobs, file.hash.hex);
  const kind = await pathKind(path);
  if (kind === null) return 'missing';
  if (kind !== 'file') return 'wrong';
  const { handle, size } = await openFile(path);
  try {
    if (size !== file.size) return 'wrong';
    const checksum = startChecksum(file.hash.kind, size);
    await hashFile(handle, size, checksum, options);
    return checksum.digest() === file.hash.hex ? 'right' : 'wrong';
  } finally {
    await handle.close();
  }
}

/** Bytes of a download of this file that was cut off before. */
export async function partialBytes(blobs: string, file: HubFile): Promise<number> {
  const path = partialPath(blobs, file);
  if ((await pathKind(path)) !== 'file') return 0;
  const { handle, size } = await openFile(path);
  await handle.close();
  return size > file.size ? 0 : size;
}

/**
 * Downloads a file into the folder of blobs, going on where an earlier download was cut off. The blob gets its name when
 * all its bytes are there, its hash is right and they are on the disk; until then it is called `<hash>.incomplete`.
 *
 * @throws ParseError where the Hub's bytes are not those it lists; UsageError where the Hub refuses or cannot be reached;
 *   StoreError where the disk is full; AbortError.
 */
export async function downloadBlob(
  blobs: string,
  file: HubFile,
  source: BlobSource,
  options: BlobOptions,
): Promise<void> {
  const path = partialPath(blobs, file);
  try {
    const start = (): Checksum => startChecksum(file.hash.kind, file.size);
    const partial = await ResumedFile.open(path, start, file.size, options.signal);
    try {
      await fill(partial, file, source, options);
      await partial.handle.sync();
    } finally {
      await partial.handle.close();
    }
    await rename(path, join(blobs, file.hash.hex));
  } catch (error) {
    // Bytes that are known to be wrong must not be gone on from.
    if (error instanceof ParseError) await rm(path, { force: true });
    if (error instanceof PersonaError) throw error;
    throw writeFailure(path, error);
  }
}

function partialPath(blobs: string, file: HubFile): string {
  return join(blobs, `${file.hash.hex}.incomplete`);
}

/** Gets all bytes and checks them; bytes of an earlier process that turn out wrong are fetched once more. */
async function fill(
  partial: ResumedFile,
  file: HubFile,
  source: BlobSource,
  options: BlobOptions,
): Promise<void> {
  for (;;) {
    const receiving = { ...options, patience: source.patience };
    await receiveRest(partial, bytesOf(file, source, options), receiving);
    const digest = partial.digest();
    if (digest === file.hash.hex) return;
    if (!partial.isOld) throw wrongHash(file, source, digest);
    options.onNote?.(`${file.path}: what an earlier download left is damaged; fetching it again`);
    options.onBytes(-partial.written);
    await partial.startOver();
  }
}

function bytesOf(file: HubFile, source: BlobSource, { signal }: BlobOptions): ByteSource {
  const { connection, repo, revision, commit } = source;
  const place = file.path.split('/').map(encodeURIComponent).join('/');
  return {
    task: `downloading ${file.path} from ${connection.endpoint}`,
    size: file.size,
    ask: (from) =>
      askHub(connection, {
        path: `${repo}/resolve/${commit}/${place}`,
        headers: from === 0 ? {} : { range: `bytes=${from}-` },
        purpose: { repo, revision, path: file.path },
        signal,
      }),
    begin: (_, total) => {
      if (total !== null && total !== file.size) throw wrongSize(file, source, total);
      return true;
    },
    checkLength: (bytes) => {
      if (bytes > file.size) throw tooManyBytes(file, source);
    },
  };
}

function wrongHash(file: HubFile, { repo, connection }: BlobSource, got: string): ParseError {
  return new ParseError(
    `${repo}: expected "${file.path}" from ${connection.endpoint} to have the ${file.hash.kind} hash ${file.hash.hex}, got ${got}; the bytes were thrown away: try again, and if it stays, do not trust this source.`,
    { details: { file: file.path, expected: file.hash.hex, got } },
  );
}

function wrongSize(file: HubFile, { repo, connection }: BlobSource, got: number): ParseError {
  return new ParseError(
    `${repo}: expected ${file.size} bytes of "${file.path}", as ${connection.endpoint} lists it, but it offers ${got}; try again later.`,
    { details: { file: file.path, expected: file.size, got: got } },
  );
}

function tooManyBytes(file: HubFile, { repo, connection }: BlobSource): ParseError {
  return new ParseError(
    `${repo}: expected ${file.size} bytes of "${file.path}", as ${connection.endpoint} lists it, but more came; the bytes were thrown away, try again later.`,
    { details: { file: file.path, expected: file.size } },
  );
}
