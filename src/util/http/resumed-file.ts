import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { systemCode } from '../system-code.ts';
import { writeAt } from '../write-at.ts';
import type { Answer } from './follow.ts';
import { downloadStopped, Interrupted } from './network-failure.ts';
import { type Patience, withRetries } from './retry.ts';

/** A running hash over the bytes of a file, from its first to its last. */
export interface Checksum {
  update(bytes: Uint8Array): void;
  /** The hash in hexadecimal; ends it. */
  digest(): string;
}

/** Where the bytes of a file on its way come from. */
export interface ByteSource {
  /** What is done, for errors: `downloading x from y`. */
  readonly task: string;
  /** Bytes of the whole file; null where nobody says. */
  readonly size: number | null;
  /** Asks for the bytes from one on. */
  ask(from: number): Promise<Answer>;
  /**
   * Looks at an answer before its bytes are taken.
   *
   * @param total Bytes of the whole file, as the answer says; null where it does not.
   * @returns false where it belongs to another file than the bytes before, which then come again.
   */
  begin(answer: Answer, total: number | null, from: number): Promise<boolean> | boolean;
  /** Throws where a file of so many bytes is more than may come. */
  checkLength(bytes: number): void;
}

export interface ReceiveOptions {
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
  /** Told of bytes that came, and with a negative number of bytes that have to come again. */
  readonly onBytes: (count: number) => void;
  readonly onNote: ((line: string) => void) | undefined;
}

/** Bytes read at once when a file is hashed. */
const READ_BYTES = 4 * 1024 * 1024;
/** An attempt that brought so many bytes is progress, after which patience begins anew. */
const PROGRESS_BYTES = 1024 * 1024;

/** A file on its way: the first `written` bytes are on the disk and in the checksum. */
export class ResumedFile {
  /** Whether some of its bytes came in an earlier process. */
  isOld = false;
  written = 0;
  readonly handle: FileHandle;
  readonly #start: () => Checksum;
  #checksum: Checksum;

  private constructor(handle: FileHandle, start: () => Checksum) {
    this.handle = handle;
    this.#start = start;
    this.#checksum = start();
  }

  /**
   * Opens what an earlier download left, or a new file.
   *
   * @param most Bytes that can be the beginning of the file; a longer one is emptied.
   */
  static async open(
    path: string,
    start: () => Checksum,
    most: number,
    signal: AbortSignal | undefined,
  ): Promise<ResumedFile> {
    const file = new ResumedFile(await openOrCreate(path), start);
    try {
      const { size } = await file.handle.stat();
      file.isOld = size > 0;
      if (size > most) {
        await file.handle.truncate(0);
        return file;
      }
      await hashFile(file.handle, size, file.#checksum, { signal, onBytes: () => undefined });
      file.written = size;
      return file;
    } catch (error) {
      await file.handle.close();
      throw error;
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    await writeAt(this.handle, bytes, this.written);
    this.#checksum.update(bytes);
    this.written += bytes.byteLength;
  }

  /** Forgets all bytes. */
  async startOver(): Promise<void> {
    await this.handle.truncate(0);
    this.written = 0;
    this.isOld = false;
    this.#checksum = this.#start();
  }

  /** The hash of all bytes; ends it. */
  digest(): string {
    return this.#checksum.digest();
  }
}

/**
 * Gets the bytes that a file lacks, again and again where the connection breaks off; a source that cannot go on in the middle
 * sends them all.
 *
 * @throws UsageError when patience is at its end; AbortError; what the source throws.
 */
export async function receiveRest(
  file: ResumedFile,
  source: ByteSource,
  options: ReceiveOptions,
): Promise<void> {
  let before = file.written;
  await withRetries(
    async () => {
      before = file.written;
      if (source.size === null || file.written < source.size) await receiveOnce(file, source, options);
    },
    {
      patience: options.patience,
      task: source.task,
      signal: options.signal,
      stopped: downloadStopped,
      gotFurther: () => file.written - before >= PROGRESS_BYTES,
      onNote: options.onNote,
    },
  );
}

/** One request for the bytes that are missing. */
async function receiveOnce(file: ResumedFile, source: ByteSource, options: ReceiveOptions): Promise<void> {
  const answer = await askForRest(file, source, options);
  try {
    await alignWithAnswer(file, source, answer, options);
    for await (const piece of answer.body) {
      source.checkLength(file.written + piece.byteLength);
      await file.append(piece);
      options.onBytes(piece.byteLength);
    }
  } finally {
    answer.discard();
  }
  if (source.size !== null && file.written < source.size) throw new Interrupted('the file ended early');
}

async function askForRest(file: ResumedFile, source: ByteSource, options: ReceiveOptions): Promise<Answer> {
  try {
    return await source.ask(file.written);
  } catch (error) {
    if (error instanceof Interrupted && error.outOfRange) await forget(file, options);
    throw error;
  }
}

/** Makes the file end where the answer's bytes begin. */
async function alignWithAnswer(
  file: ResumedFile,
  source: ByteSource,
  answer: Answer,
  options: ReceiveOptions,
): Promise<void> {
  if (answer.status !== 206) {
    // A server that does not know ranges, or has another file by now, sends it from its first byte on.
    if (file.written > 0) await forget(file, options);
    await source.begin(answer, answer.isUnpacked ? null : lengthOf(answer.headers), 0);
    return;
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers.get('content-range') ?? '');
  const total = range === null || range[2] === '*' ? null : Number(range[2]);
  const isSame = await source.begin(answer, total, file.written);
  if (isSame && range !== null && Number(range[1]) === file.written && !answer.isUnpacked) return;
  await forget(file, options);
  throw new Interrupted('the server sent another part of the file than was asked for');
}

async function forget(file: ResumedFile, options: ReceiveOptions): Promise<void> {
  options.onBytes(-file.written);
  await file.startOver();
}

function lengthOf(headers: Headers): number | null {
  const length = headers.get('content-length');
  return length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
}

/** Feeds the first `size` bytes of a file to a checksum. */
export async function hashFile(
  handle: FileHandle,
  size: number,
  checksum: Checksum,
  { signal, onBytes }: Pick<ReceiveOptions, 'signal' | 'onBytes'>,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
  for (let done = 0; done < size; ) {
    if (signal?.aborted === true) throw downloadStopped();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, size - done), done);
    // The file became shorter in between; its hash will be wrong.
    if (bytesRead === 0) return;
    checksum.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
    onBytes(bytesRead);
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return open(path, 'wx+');
  }
}
