import { randomBytes } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { storeFailure } from './files.ts';
import { jsonLine, type JsonlLog, openJsonlLog, readLines } from './jsonl.ts';
import { PlacesInFiles } from './places.ts';
import { type JsonValue, jsonValueSchema } from './schema.ts';

/** Answers by the hash of what was asked; what is put there is on the disk when `put` returns. */
export interface AnswerCache {
  /** What is damaged on the disk, or no longer there, is not known. */
  get(key: string): JsonValue | undefined;
  put(key: string, value: JsonValue): Promise<void>;
  close(): Promise<void>;
}

interface CachedAnswer {
  readonly key: string;
  readonly value: JsonValue;
}
const lineSchema: z.ZodType<CachedAnswer> = z.object({ key: z.string(), value: jsonValueSchema });

/** How a line of a log begins, up to its key; the answer behind it is read when it is asked for. */
const LINE_START = /^\{"key":("(?:[^"\\]|\\.)*"),"value":/;
/** Keys are hashes; what goes on without an end of its key in that many bytes is no line of a log. */
const LONGEST_START = 4096;

/**
 * Opens a folder of answers, new or old. Every process appends to a log of its own, so that any number of them can share
 * the folder; it finds what the others had written when it came. A line that a killed process left unfinished is passed over.
 *
 * Memory holds where each answer lies, some 150 bytes of it, and no answer: with the residuals of replies an answer has
 * tens of kilobytes.
 *
 * @throws StoreError when the folder cannot be read or written.
 */
export async function openAnswerCache(folder: string): Promise<AnswerCache> {
  const places = new PlacesInFiles();
  try {
    await mkdir(folder, { recursive: true });
    for (const name of (await readdir(folder)).sort()) {
      if (name.endsWith('.jsonl')) await findAnswers(join(folder, name), places);
    }
  } catch (error) {
    throw storeFailure(folder, error);
  }
  return new FolderCache(folder, places);
}

class FolderCache implements AnswerCache {
  readonly #folder: string;
  readonly #places: PlacesInFiles;
  #log: { readonly file: string; readonly lines: JsonlLog<CachedAnswer>; end: number } | null = null;
  #waiting: CachedAnswer[] = [];
  #writing: Promise<void> | null = null;

  constructor(folder: string, places: PlacesInFiles) {
    this.#folder = folder;
    this.#places = places;
  }

  get(key: string): JsonValue | undefined {
    const line = this.#places.read(key);
    if (line === undefined) return undefined;
    const { data } = lineSchema.safeParse(parseLine(line));
    return data?.key === key ? data.value : undefined;
  }

  async put(key: string, value: JsonValue): Promise<void> {
    this.#waiting.push({ key, value });
    // Whoever comes while others are being written is written with the next.
    while (this.#waiting.some((line) => line.key === key)) {
      this.#writing ??= this.#writeWaiting().finally(() => (this.#writing = null));
      await this.#writing;
    }
    // Those that were taken from the waiting ones may still be on their way to the disk.
    await this.#writing;
  }

  async close(): Promise<void> {
    await this.#writing?.catch(() => undefined);
    await this.#log?.lines.close();
    this.#log = null;
    this.#places.close();
  }

  async #writeWaiting(): Promise<void> {
    const log = (this.#log ??= await this.#openLog());
    const answers = this.#waiting;
    this.#waiting = [];
    await log.lines.append(answers);
    for (const answer of answers) {
      const bytes = Buffer.byteLength(jsonLine(answer));
      this.#places.add(answer.key, log.file, log.end, bytes);
      log.end += bytes;
    }
  }

  async #openLog(): Promise<{ file: string; lines: JsonlLog<CachedAnswer>; end: number }> {
    const name = `${Date.now().toString(36)}-${process.pid}-${randomBytes(4).toString('hex')}.jsonl`;
    const file = join(this.#folder, name);
    return { file, lines: await openJsonlLog(file, lineSchema), end: 0 };
  }
}

async function findAnswers(file: string, places: PlacesInFiles): Promise<void> {
  let start = 0;
  for await (const { bytes, end, finished } of readLines(file)) {
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, LONGEST_START));
    const key = LINE_START.exec(head.toString('utf8'))?.[1];
    if (finished && key !== undefined) places.add(JSON.parse(key) as string, file, start, end - start);
    start = end;
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
