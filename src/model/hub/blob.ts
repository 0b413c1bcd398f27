import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { ParseError, PersonaError } from '../../errors.ts';
import { writeFailure } from '../../util/atomic-file.ts';
import { openFile, pathKind } from '../read-bytes.ts';
import { startChecksum } from './checksum.ts';
import type { Checksum } from './checksum.ts';
import { askHub } from './client.ts';
import type { Connection, HubAnswer } from './client.ts';
import { Interrupted } from '../../util/http/network-failure.ts';
import { withRetries } from '../../util/http/retry.ts';
import type { Patience } from '../../util/http/retry.ts';
import { stopped } from './failures.ts';
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

/** Bytes read at once when a file is hashed. */
const READ_BYTES = 4 * 1024 * 1024;
/** An attempt that brought so many bytes is progress, after which patience begins anew. */
const PROGRESS_BYTES = 1024 * 1024;

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
    const partial = await openPartial(path, file, options);
    try {
      await fill(partial, source, options);
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

/** A file on its way: `written` bytes are on the disk and in the checksum. */
interface Partial {
  readonly file: HubFile;
  readonly handle: FileHandle;
  written: number;
  checksum: Checksum;
  /** Whether some of its bytes came in an earlier process. */
  isOld: boolean;
}

function partialPath(blobs: string, file: HubFile): string {
  return join(blobs, `${file.hash.hex}.incomplete`);
}

async function openPartial(path: string, file: HubFile, options: BlobOptions): Promise<Partial> {
  const isThere = (await pathKind(path)) === 'file';
  const handle = await open(path, isThere ? 'r+' : 'wx+');
  try {
    const { size } = await handle.stat();
    const partial: Partial = {
      file,
      handle,
      written: 0,
      checksum: startChecksum(file.hash.kind, file.size),
      isOld: size > 0,
    };
    if (size > file.size) {
      await handle.truncate(0);
      return partial;
    }
    await hashFile(handle, size, partial.checksum, { signal: options.signal, onBytes: () => undefined });
    partial.written = size;
    return partial;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Gets all bytes and checks them; bytes of an earlier process that turn out wrong are fetched once more. */
async function fill(partial: Partial, source: BlobSource, options: BlobOptions): Promise<void> {
  for (;;) {
    await fetchRest(partial, source, options);
    const digest = partial.checksum.digest();
    if (digest === partial.file.hash.hex) return;
    if (!partial.isOld) throw wrongHash(partial.file, source, digest);
    options.onNote?.(`${partial.file.path}: what an earlier download left is damaged; fetching it again`);
    await startOver(partial, options);
  }
}

async function fetchRest(partial: Partial, source: BlobSource, options: BlobOptions): Promise<void> {
  const { file } = partial;
  const task = `downloading ${file.path} from ${source.connection.endpoint}`;
  let before = partial.written;
  await withRetries(
    async () => {
      before = partial.written;
      if (partial.written < file.size) await fetchOnce(partial, source, options);
    },
    {
      patience: source.patience,
      task,
      signal: options.signal,
      stopped,
      gotFurther: () => partial.written - before >= PROGRESS_BYTES,
      onNote: options.onNote,
    },
  );
}

/** One request for the bytes that are missing. */
async function fetchOnce(partial: Partial, source: BlobSource, options: BlobOptions): Promise<void> {
  const { file, handle } = partial;
  const answer = await askForRest(partial, source, options);
  try {
    await alignWithAnswer(partial, answer, source, options);
    for await (const piece of answer.body) {
      if (partial.written + piece.byteLength > file.size) throw tooManyBytes(file, source);
      await writeAll(handle, piece, partial.written);
      partial.checksum.update(piece);
      partial.written += piece.byteLength;
      options.onBytes(piece.byteLength);
    }
  } finally {
    answer.discard();
  }
  if (partial.written < file.size) throw new Interrupted('the file ended early');
}

async function askForRest(
  partial: Partial,
  { connection, repo, revision, commit }: BlobSource,
  options: BlobOptions,
): Promise<HubAnswer> {
  const { path } = partial.file;
  try {
    return await askHub(connection, {
      path: `${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`,
      headers: partial.written === 0 ? {} : { range: `bytes=${partial.written}-` },
      purpose: { repo, revision, path },
      signal: options.signal,
    });
  } catch (error) {
    if (error instanceof Interrupted && error.outOfRange) await startOver(partial, options);
    throw error;
  }
}

/** Makes the partial file end where the answer's bytes begin. */
async function alignWithAnswer(
  partial: Partial,
  answer: HubAnswer,
  source: BlobSource,
  options: BlobOptions,
): Promise<void> {
  const { file } = partial;
  const isEncoded = !['identity', null].includes(answer.headers.get('content-encoding'));
  if (answer.status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers.get('content-range') ?? '');
    if (range !== null && range[2] !== '*' && Number(range[2]) !== file.size) {
      throw wrongSize(file, source, range[2]!);
    }
    if (range !== null && Number(range[1]) === partial.written && !isEncoded) return;
    await startOver(partial, options);
    throw new Interrupted('the server sent another part of the file than was asked for');
  }
  const length = answer.headers.get('content-length');
  if (length !== null && !isEncoded && Number(length) !== file.size) throw wrongSize(file, source, length);
  // A server that does not know ranges sends the file from its first byte on.
  if (partial.written > 0) await startOver(partial, options);
}

async function startOver(partial: Partial, options: BlobOptions): Promise<void> {
  options.onBytes(-partial.written);
  await partial.handle.truncate(0);
  partial.written = 0;
  partial.isOld = false;
  partial.checksum = startChecksum(partial.file.hash.kind, partial.file.size);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Feeds the first `size` bytes of a file to a checksum. */
async function hashFile(
  handle: FileHandle,
  size: number,
  checksum: Checksum,
  { signal, onBytes }: Pick<BlobOptions, 'signal' | 'onBytes'>,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
  for (let done = 0; done < size; ) {
    if (signal?.aborted === true) throw stopped();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, size - done), done);
    // The file became shorter in between; its hash will be wrong.
    if (bytesRead === 0) return;
    checksum.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
    onBytes(bytesRead);
  }
}

function wrongHash(file: HubFile, { repo, connection }: BlobSource, got: string): ParseError {
  return new ParseError(
    `${repo}: expected "${file.path}" from ${connection.endpoint} to have the ${file.hash.kind} hash ${file.hash.hex}, got ${got}; the bytes were thrown away: try again, and if it stays, do not trust this source.`,
    { details: { file: file.path, expected: file.hash.hex, got } },
  );
}

function wrongSize(file: HubFile, { repo, connection }: BlobSource, got: string): ParseError {
  return new ParseError(
    `${repo}: expected ${file.size} bytes of "${file.path}", as ${connection.endpoint} lists it, but it offers ${got.slice(0, 20)}; try again later.`,
    { details: { file: file.path, expected: file.size, got: got.slice(0, 20) } },
  );
}

function tooManyBytes(file: HubFile, { repo, connection }: BlobSource): ParseError {
  return new ParseError(
    `${repo}: expected ${file.size} bytes of "${file.path}", as ${connection.endpoint} lists it, but more came; the bytes were thrown away, try again later.`,
    { details: { file: file.path, expected: file.size } },
  );
}
