import { open, realpath, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ParseError, UsageError } from '../errors.ts';
import { systemCode } from '../util/system-code.ts';

/** Bytes asked of the system at once: Node refuses a single read of 2 GiB and more. */
const READ_BYTES = 64 * 1024 * 1024;

/** An open regular file; close `handle` when done. */
export interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly size: number;
}

/**
 * Opens a regular file for reading.
 *
 * @throws UsageError when nothing is there, it is no regular file (opening a pipe would wait for ever), or it
 *   may not be read.
 */
export async function openFile(path: string): Promise<OpenFile> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw notAFile(path, found.isDirectory() ? 'a folder' : 'a device or pipe');
    return { path, handle: await open(path, 'r'), size: found.size };
  } catch (error) {
    throw readFailure(path, error);
  }
}

/** Fills `target` with the bytes from `position` on; a file that ends before is a ParseError. */
export async function readExactly(file: OpenFile, target: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(READ_BYTES, target.byteLength - done);
    const { bytesRead } = await file.handle.read(target, done, length, position + done);
    if (bytesRead === 0) throw endedEarly(file, position + target.byteLength);
    done += bytesRead;
  }
}

/**
 * All bytes of a file of at most `limit` bytes.
 *
 * @throws UsageError as `openFile`; ParseError when the file is longer than `limit`.
 */
export async function readSmallFile(path: string, limit: number): Promise<Uint8Array> {
  const file = await openFile(path);
  try {
    if (file.size > limit) throw tooLong(path, file.size, limit);
    const bytes = new Uint8Array(file.size);
    await readExactly(file, bytes, 0);
    return bytes;
  } finally {
    await file.handle.close();
  }
}

/** What lies at a path, links followed; null when nothing does. */
export async function pathKind(path: string): Promise<'file' | 'folder' | 'other' | null> {
  try {
    const found = await stat(path);
    if (found.isFile()) return 'file';
    return found.isDirectory() ? 'folder' : 'other';
  } catch (error) {
    // A NUL byte in a path is refused by Node before the system is asked.
    if (['ENOENT', 'ENOTDIR', 'ERR_INVALID_ARG_VALUE', 'ENAMETOOLONG'].includes(systemCode(error) ?? '')) {
      return null;
    }
    throw readFailure(path, error);
  }
}

/** Absolute path with every symbolic link resolved: the runtime refuses links that leave a folder. */
export async function resolveLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw readFailure(path, error);
  }
}

function readFailure(path: string, error: unknown): Error {
  if (error instanceof UsageError) return error;
  const code = systemCode(error);
  const reason =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? 'nothing is there; check the path'
      : code === 'EACCES' || code === 'EPERM'
        ? 'reading it is not permitted; change its permissions'
        : `the system answered ${code ?? String(error)}`;
  return new UsageError(`Expected a readable file at "${path}", but ${reason}.`, {
    details: { file: path, reason: code },
    cause: error,
  });
}

function notAFile(path: string, what: string): UsageError {
  return new UsageError(`Expected a file at "${path}", got ${what}; name the file itself.`, {
    details: { file: path },
  });
}

function endedEarly({ path, size }: OpenFile, expected: number): ParseError {
  return new ParseError(
    `"${path}" ends before byte ${expected}, so it changed after it was opened; read it again.`,
    { details: { file: path, expected, size } },
  );
}

function tooLong(path: string, size: number, limit: number): ParseError {
  return new ParseError(
    `"${path}" has ${size} bytes, more than the ${limit} that such a file may have; check that it is the right file.`,
    { details: { file: path, expected: limit, got: size } },
  );
}
