import fc from 'fast-check';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { PersonaError } from '../errors.ts';
import { failingFiles } from '../../test/helpers/failing-files.ts';
import { jsonLine, openJsonlLog, readJsonl } from './jsonl.ts';

const schema = z.object({ key: z.string(), value: z.number() });
type Row = z.infer<typeof schema>;
const rows: readonly Row[] = [
  { key: 'a', value: 1 },
  { key: 'ünïcode \n line', value: 2.5 },
  { key: '', value: -3 },
];

async function readAll(file: string): Promise<unknown[]> {
  const all = [];
  for await (const row of readJsonl(file, schema)) all.push(row);
  return all;
}

describe('readJsonl', () => {
  it('yields rows with their lines, skips blank lines and accepts a missing last line break', async () => {
    const file = join(await temporaryFolder(), 'rows.jsonl');
    await writeFile(file, `${jsonLine(rows[0])}\n  \r\n${jsonLine(rows[1]).trimEnd()}`);
    expect(await readAll(file)).toEqual([
      { line: 1, value: rows[0] },
      { line: 4, value: rows[1] },
    ]);
  });

  it.each([
    ['{"key": "a", "value": 1}\n{oops}\n', 'line 2: expected one JSON object, but'],
    ['{"key": "a"}\n', 'line 1: in "value", '],
    ['\n[1, 2]\n', 'line 2: invalid input'],
    [Buffer.from([0x22, 0xff, 0x22, 0x0a]), 'line 1: expected one JSON object, but'],
  ])('names file and line of a bad row: %j', async (content, message) => {
    const file = join(await temporaryFolder(), 'rows.jsonl');
    await writeFile(file, content);
    const failure = await readAll(file).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'data', details: { file } });
    expect((failure as Error).message).toContain(message);
  });

  it('says that there is no file', async () => {
    await expect(readAll(join(await temporaryFolder(), 'none.jsonl'))).rejects.toThrow('nothing is there');
  });

  it('reads lines that cross the edges of its chunks', async () => {
    const file = join(await temporaryFolder(), 'rows.jsonl');
    const long = Array.from({ length: 40 }, (_, i) => ({ key: 'é'.repeat(i * 1009), value: i }));
    await writeFile(file, long.map(jsonLine).join(''));
    expect(await readAll(file)).toEqual(long.map((value, i) => ({ line: i + 1, value })));
  });

  it('throws nothing but its own errors on random bytes', async () => {
    const file = join(await temporaryFolder(), 'rows.jsonl');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await writeFile(file, bytes);
        const failure = await readAll(file).catch((error: unknown) => error);
        expect(Array.isArray(failure) || failure instanceof PersonaError).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('openJsonlLog', () => {
  it('appends, and gives back what it holds', async () => {
    const file = join(await temporaryFolder(), 'log.jsonl');
    const log = await openJsonlLog(file, schema);
    await log.append(rows.slice(0, 2));
    await log.append([]);
    await log.append(rows.slice(2));
    await log.close();
    expect(await readFile(file, 'utf8')).toBe(rows.map(jsonLine).join(''));
    const again = await openJsonlLog(file, schema);
    expect(again).toMatchObject({ rows, droppedBytes: 0 });
    await again.close();
  });

  it('drops a torn last line at whatever byte the kill came, and goes on cleanly', async () => {
    const file = join(await temporaryFolder(), 'log.jsonl');
    const whole = Buffer.from(rows.map(jsonLine).join(''));
    const ends = rows.map(
      (_, i) =>
        Buffer.from(
          rows
            .slice(0, i + 1)
            .map(jsonLine)
            .join(''),
        ).length,
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length }), async (cut) => {
        await writeFile(file, whole.subarray(0, cut));
        const log = await openJsonlLog(file, schema);
        const kept = ends.filter((end) => end <= cut).length;
        expect(log.rows).toEqual(rows.slice(0, kept));
        expect(log.droppedBytes).toBe(cut - (kept === 0 ? 0 : ends[kept - 1]!));
        await log.append(rows.slice(kept));
        await log.close();
        expect(await readFile(file)).toEqual(whole);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves nothing of a torn line behind a shorter row', async () => {
    const file = join(await temporaryFolder(), 'log.jsonl');
    await writeFile(file, `{"key": "${'x'.repeat(500)}`);
    const log = await openJsonlLog(file, schema);
    await log.append(rows.slice(0, 1));
    await log.close();
    expect(await readFile(file, 'utf8')).toBe(jsonLine(rows[0]));
  });

  it('names the line of a finished row that is none', async () => {
    const file = join(await temporaryFolder(), 'log.jsonl');
    await writeFile(file, jsonLine(rows[0]));
    await appendFile(file, 'nonsense\n');
    await expect(openJsonlLog(file, schema)).rejects.toThrow('line 2: expected one JSON object');
  });

  it('leaves no half row behind when the disk is full', async () => {
    const file = join(await temporaryFolder(), 'log.jsonl');
    const log = await openJsonlLog(file, schema, failingFiles({ after: 30 }));
    await log.append(rows.slice(0, 1));
    await expect(log.append(rows)).rejects.toThrow('no space is left');
    await log.close();
    expect(await readFile(file, 'utf8')).toBe(jsonLine(rows[0]));
  });
});
