import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { storeFailure } from './files.ts';
import { type JsonlLog, openJsonlLog } from './jsonl.ts';
import { type JsonValue, jsonValueSchema } from './schema.ts';

/** Answers by the hash of what was asked; what is put there is on the disk when `put` returns. */
export interface AnswerCache {
  get(key: string): JsonValue | undefined;
  put(key: string, value: JsonValue): Promise<void>;
  close(): Promise<void>;
}

interface CachedAnswer {
  readonly key: string;
  readonly value: JsonValue;
}
const lineSchema: z.ZodType<CachedAnswer> = z.object({ key: z.string(), value: jsonValueSchema });

/**
 * Opens a folder of answers, new or old. Every process appends to a log of its own, so that any number of them can share
 * the folder; it reads what the others had written when it came. A line that a killed process left unfinished is passed over.
 *
 * @throws StoreError when the folder cannot be read or written.
 */
export async function openAnswerCache(folder: string): Promise<AnswerCache> {
  const answers = new Map<string, string>();
  try {
    await mkdir(folder, { recursive: true });
    for (const name of (await readdir(folder)).sort()) {
      if (name.endsWith('.jsonl')) await readLog(join(folder, name), answers);
    }
  } catch (error) {
    throw storeFailure(folder, error);
  }
  return new FolderCache(folder, answers);
}

class FolderCache implements AnswerCache {
  readonly #folder: string;
  /** As JSON text: tens of thousands of answers take a tenth of the memory that their values would. */
  readonly #answers: Map<string, string>;
  #log: JsonlLog<CachedAnswer> | null = null;
  #waiting: CachedAnswer[] = [];
  #writing: Promise<void> | null = null;

  constructor(folder: string, answers: Map<string, string>) {
    this.#folder = folder;
    this.#answers = answers;
  }

  get(key: string): JsonValue | undefined {
    const text = this.#answers.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as JsonValue);
  }

  async put(key: string, value: JsonValue): Promise<void> {
    this.#waiting.push({ key, value });
    // Whoever comes while others are being written is written with the next.
    while (this.#waiting.some((line) => line.key === key)) {
      this.#writing ??= this.#writeWaiting().finally(() => (this.#writing = null));
      await this.#writing;
    }
    this.#answers.set(key, JSON.stringify(value));
  }

  async close(): Promise<void> {
    await this.#writing?.catch(() => undefined);
    await this.#log?.close();
    this.#log = null;
  }

  async #writeWaiting(): Promise<void> {
    const name = `${Date.now().toString(36)}-${process.pid}-${randomBytes(4).toString('hex')}.jsonl`;
    this.#log ??= await openJsonlLog(join(this.#folder, name), lineSchema);
    const lines = this.#waiting;
    this.#waiting = [];
    await this.#log.append(lines);
  }
}

async function readLog(file: string, answers: Map<string, string>): Promise<void> {
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity });
  for await (const line of lines) {
    const parsed = lineSchema.safeParse(parseLine(line));
    if (parsed.success) answers.set(parsed.data.key, JSON.stringify(parsed.data.value));
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
