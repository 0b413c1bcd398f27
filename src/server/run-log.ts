import { open, stat } from 'node:fs/promises';
import { trainStepSchema, type TrainStep } from '../store/train-schema.ts';
import type { RunLog, RunProgress } from './runs-api.ts';

/** Bytes that are read at once. */
export const partBytes = 65_536;

/** A part of a log as text, cut between characters; the empty text where there is no file yet. */
export async function readLog(file: string, offset: number, limit: number): Promise<RunLog> {
  const { bytes, size } = await readPart(file, offset, limit);
  const whole = bytes.subarray(0, bytes.length - brokenBytes(bytes));
  return { text: whole.toString('utf8'), offset, next_offset: offset + whole.length, bytes: size };
}

/** Where the last lines of a file begin, about so many bytes before its end. */
export async function tailOffset(file: string, bytes: number): Promise<number> {
  const size = await sizeOf(file);
  if (size <= bytes) return 0;
  const part = await readPart(file, size - bytes, bytes);
  const line = part.bytes.indexOf(10);
  return size - bytes + (line < 0 ? 0 : line + 1);
}

/** The whole lines of a training's log from an offset on that are steps, and the offset behind them. */
export async function readSteps(
  file: string,
  offset: number,
): Promise<{ readonly steps: TrainStep[]; readonly next: number }> {
  const { bytes } = await readPart(file, offset, partBytes);
  const end = bytes.lastIndexOf(10) + 1;
  const lines = bytes.subarray(0, end).toString('utf8').split('\n');
  return { steps: lines.flatMap((line) => parseStep(line) ?? []), next: offset + end };
}

/** What the last lines of a log say of how far a run is; null where they say nothing. */
export function progressIn(text: string): RunProgress | null {
  for (const line of text.trimEnd().split('\n').reverse()) {
    const [, label, done, total] = /^(.{1,200}?): (\d{1,12}) of (\d{1,12}) \w/.exec(line) ?? [];
    if (label !== undefined)
      return { label, done: Number(done), total: Number(total), line: line.slice(0, 400) };
  }
  return null;
}

/** The last sentence in a log by which a command says why it ended; null where there is none. */
export function errorIn(text: string): string | null {
  const line = text
    .split('\n')
    .reverse()
    .find((one) => one.startsWith('error: '));
  return line === undefined ? null : line.slice('error: '.length, 2000);
}

function parseStep(line: string): TrainStep | null {
  if (line === '') return null;
  try {
    return trainStepSchema.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}

async function readPart(
  file: string,
  offset: number,
  limit: number,
): Promise<{ readonly bytes: Buffer; readonly size: number }> {
  const size = await sizeOf(file);
  const length = Math.max(0, Math.min(limit, size - offset));
  if (length === 0) return { bytes: Buffer.alloc(0), size };
  const handle = await open(file, 'r');
  try {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, offset);
    return { bytes: buffer.subarray(0, bytesRead), size };
  } finally {
    await handle.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0;
}

/** Bytes at the end that are the beginning of a character. */
function brokenBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
