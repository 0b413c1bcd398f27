import { mkdir, readFile, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { PersonaError } from '../../errors.ts';
import { openFile, pathKind } from '../../model/read-bytes.ts';
import { writeFailure } from '../../util/atomic-file.ts';
import { requireRoom } from '../../util/free-bytes.ts';
import { sha256 } from '../../util/hash.ts';
import { AllowedHosts } from '../../util/http/allowed-hosts.ts';
import { bearer, findHostKey } from '../../util/http/host-key.ts';
import { isPrivate } from '../../util/http/hosts.ts';
import { type Checksum, hashFile, receiveRest, ResumedFile } from '../../util/http/resumed-file.ts';
import { defaultPatience, type Patience } from '../../util/http/retry.ts';
import { cacheFolder } from '../cache-folder.ts';
import { readTextIfThere, renameLasting, writeJson } from '../files.ts';
import { lockFolder } from '../lock.ts';
import { type Representation, representationSchema, type SourceEncoding } from './representation.ts';
import { SourceDownload, SourceTooLarge, SourceUnchanged, SourceUnreachable } from './source-download.ts';
import { SourceHosts } from './source-hosts.ts';
import type { SourceUrl } from './source-url.ts';

/** How far a file from a web server is. */
export interface SourceProgress {
  /** First what the cache has is checked, then the rest is downloaded. */
  readonly phase: 'checking' | 'downloading';
  readonly doneBytes: number;
  /** Infinity where the server does not say. */
  readonly totalBytes: number;
}

export interface SourceOptions {
  /** Hosts beside that of a URL itself, from which its bytes may come; see `SourceHosts`. */
  readonly allowHosts?: readonly string[] | undefined;
  /** Most bytes of one file; default 20 GB. */
  readonly maxBytes?: number | undefined;
  readonly patience?: Partial<Patience> | undefined;
  /** Holds keys of hosts, see `findHostKey`; default: that of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** The package's cache folder; default: `cacheFolder()`. */
  readonly cacheFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SourceProgress) => void) | undefined;
  /** Told of what a person should know. */
  readonly onNote?: ((line: string) => void) | undefined;
  /** Free bytes of the disk with a folder; the system's answer unless a test says otherwise. */
  readonly freeBytes?: ((folder: string) => Promise<number | null>) | undefined;
}

/** The bytes of a file on a web server, on this machine. */
export interface KeptSource {
  /** Absolute; the file is named by its hash. */
  readonly path: string;
  readonly encoding: SourceEncoding;
}

const DEFAULT_MAX_BYTES = 20e9;

const keptSchema = z.strictObject({
  version: z.literal(1),
  /** For people. */
  name: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().min(0),
  representation: representationSchema,
});

const begunSchema = z.strictObject({
  version: z.literal(1),
  /** Of the machine that has the bytes in its memory, if not yet on the disk. */
  boot: z.string(),
  representation: representationSchema,
});

/**
 * Has a file of a web server in the cache. What is there is taken if the server says that it is still the same, or downloaded
 * anew; what was cut off is gone on with, if the server can name what it sends. Where no server is met at all the copy is
 * taken, and this is told.
 *
 * @param encodings What can be read of this file, by its name.
 * @throws UsageError where the host is not allowed, the server refuses or cannot be reached, or the file is too large;
 *   StoreError where the disk is full or another process downloads the same file; AbortError.
 */
export async function keepSource(
  source: SourceUrl,
  encodings: readonly SourceEncoding[],
  options: SourceOptions = {},
): Promise<KeptSource> {
  const hosts = new SourceHosts(source.url, new AllowedHosts(options.allowHosts ?? []));
  if (!isPrivate(source.url))
    options.onNote?.(
      `${source.url.host} is asked without encryption: others on the way can read and change the rows`,
    );
  // Not the whole URL, whose query may be secret.
  const key = findHostKey(source.url.origin, options.environment);
  const authorization = source.authorization ?? bearer(key)['authorization'] ?? null;
  const root = options.cacheFolder ?? cacheFolder();
  const folder = join(root, 'data', sha256(source.url.href).slice(0, 32));
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw writeFailure(folder, error);
  }
  const lock = await lockFolder(folder);
  try {
    return await keepIn(folder, { ...source, authorization }, { hosts, encodings, options });
  } finally {
    await lock.release();
  }
}

interface Keeping {
  readonly hosts: SourceHosts;
  readonly encodings: readonly SourceEncoding[];
  readonly options: SourceOptions;
}

async function keepIn(folder: string, source: SourceUrl, keeping: Keeping): Promise<KeptSource> {
  const { options } = keeping;
  const kept = await readKept(folder, options);
  try {
    return await download(folder, source, { ...keeping, kept });
  } catch (error) {
    const isUnchanged = error instanceof SourceUnchanged;
    if (kept === null || !(isUnchanged || error instanceof SourceUnreachable)) throw error;
    options.onNote?.(
      isUnchanged
        ? `${source.name} has not changed; the copy in the cache is read`
        : `${source.name} cannot be asked for now; the copy in the cache is read, and may be an old one`,
    );
    return { path: join(folder, kept.sha256), encoding: kept.representation.encoding };
  }
}

type Kept = z.infer<typeof keptSchema>;

/** Downloads the file, or what an earlier download lacks of it. SourceUnchanged where `kept` is still the file. */
async function download(
  folder: string,
  source: SourceUrl,
  { hosts, encodings, options, kept }: Keeping & { readonly kept: Kept | null },
): Promise<KeptSource> {
  const { signal, onNote } = options;
  const path = join(folder, 'incomplete');
  const patience = { ...defaultPatience, ...options.patience };
  const begun = await readBegun(folder);
  if (begun === null) await rm(path, { force: true });
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  try {
    const file = await ResumedFile.open(path, startChecksum, begun?.size ?? maxBytes, signal);
    // Killed when the last byte had come: still, the server has to say that these are its bytes.
    const isWhole = begun !== null && file.written === begun.size;
    try {
      const bytes = new SourceDownload(
        source,
        {
          hosts,
          encodings,
          maxBytes,
          signal,
          onNote,
          stallMs: patience.stallMs,
          onBegin: async (representation) => {
            await requireRoom(folder, representation.size ?? 0, {
              advice: 'set PERSONA_CACHE to a folder on another disk',
              freeBytes: options.freeBytes,
            });
            await writeBegun(folder, representation);
          },
        },
        isWhole ? { kept: begun, begun: null } : { kept: kept?.representation ?? null, begun },
      );
      let doneBytes = file.written;
      const onBytes = (count: number): void => {
        doneBytes += count;
        options.onProgress?.({ phase: 'downloading', doneBytes, totalBytes: bytes.size ?? Infinity });
      };
      await receiveRest(file, bytes, { patience, signal, onBytes, onNote }).catch((error: unknown) => {
        if (!isWhole || !(error instanceof SourceUnchanged)) throw error;
      });
      await file.handle.sync();
      return await keep(folder, source, { file, path, representation: bytes.representation ?? begun! });
    } finally {
      await file.handle.close();
    }
  } catch (error) {
    // What cannot be gone on from is in the way of nothing but the disk.
    if (error instanceof SourceTooLarge || (await readBegun(folder)) === null)
      await rm(path, { force: true });
    if (error instanceof PersonaError || error instanceof SourceUnchanged) throw error;
    throw writeFailure(path, error);
  }
}

/** Gives a whole file its name, and notes what it is. */
async function keep(
  folder: string,
  { name }: SourceUrl,
  {
    file,
    path,
    representation,
  }: { readonly file: ResumedFile; readonly path: string; readonly representation: Representation },
): Promise<KeptSource> {
  const hash = file.digest();
  const kept: Kept = { version: 1, name, sha256: hash, bytes: file.written, representation };
  const lasting = join(folder, hash);
  await renameLasting(path, lasting);
  await writeJson(keptFile(folder), kept);
  await rm(begunFile(folder), { force: true });
  return { path: lasting, encoding: representation.encoding };
}

/** What is there whole and right; null for nothing of that kind. */
async function readKept(folder: string, { signal, onProgress }: SourceOptions): Promise<Kept | null> {
  const kept = await readNote(keptFile(folder), keptSchema);
  const path = join(folder, kept?.sha256 ?? '');
  if (kept === null || (await pathKind(path)) !== 'file') return null;
  const { handle, size } = await openFile(path);
  try {
    if (size !== kept.bytes) return null;
    const checksum = startChecksum();
    let doneBytes = 0;
    const onBytes = (count: number): void => {
      doneBytes += count;
      onProgress?.({ phase: 'checking', doneBytes, totalBytes: size });
    };
    await hashFile(handle, size, checksum, { signal, onBytes });
    return checksum.digest() === kept.sha256 ? kept : null;
  } finally {
    await handle.close();
  }
}

/**
 * What a download of an earlier process was of. Null where nothing names its bytes, and where the machine was started again
 * since: a power cut leaves files of the right length whose last bytes were never written.
 */
async function readBegun(folder: string): Promise<Representation | null> {
  const begun = await readNote(begunFile(folder), begunSchema);
  const isUsable =
    begun !== null && begun.boot === (await bootOf()) && begun.representation.validator !== null;
  return isUsable ? begun.representation : null;
}

async function writeBegun(folder: string, representation: Representation): Promise<void> {
  await writeJson(begunFile(folder), { version: 1, boot: await bootOf(), representation });
}

/** A note of ours; null for none and for one that was damaged, which costs a download and no more. */
async function readNote<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await readTextIfThere(path);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Names the time since this machine was started; a text that never comes again where the system has no name for it. */
async function bootOf(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return `process ${process.pid} at ${Math.round(performance.timeOrigin)}`;
  }
}

function keptFile(folder: string): string {
  return join(folder, 'kept.json');
}

function begunFile(folder: string): string {
  return join(folder, 'begun.json');
}

function startChecksum(): Checksum {
  const hash = createHash('sha256');
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') };
}
