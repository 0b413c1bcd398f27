import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { shippedModel } from '../../test/helpers/broken-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { Pooling } from '../engine/types.ts';
import { DataError, StoreError } from '../errors.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { readActivationRows } from './activation-rows.ts';
import type { EncodedRow } from './activation-rows.ts';

let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await loadCheckpoint(shippedModel);
});

async function rowsOf(text: string | Uint8Array, pool: Pooling[] = ['response_mean']): Promise<EncodedRow[]> {
  const file = join(await temporaryFolder(), 'rows.jsonl');
  await writeFile(file, text);
  const rows: EncodedRow[] = [];
  for await (const row of readActivationRows(file, checkpoint, pool)) rows.push(row);
  return rows;
}

/** Reads a file, every row of which must be one that the model can run. */
async function check(file: string): Promise<void> {
  for await (const { ids, responseStart } of readActivationRows(file, checkpoint, ['response_mean'])) {
    expect(responseStart).toBeLessThan(ids.length);
    expect(ids.every((id) => id >= 0 && id < 512)).toBe(true);
  }
}

describe('readActivationRows', () => {
  it('takes ids as they are and encodes prompt and answer apart', async () => {
    const tokenizer = checkpoint.tokenizer!;
    const text = [
      JSON.stringify({ ids: [1, 2, 3], response_start: 1 }),
      '',
      JSON.stringify({ prompt: 'The c', answer: 'at sat.', source: 'a column of the data set' }),
      JSON.stringify({ prompt: '<s>The c', answer: '</s>' }),
    ].join('\n');
    const prompt = tokenizer.encodePrompt('The c');
    const spelled = tokenizer.encode('</s>', { special: false });
    expect(prompt[0]).toBe(1);
    expect(spelled).not.toContain(2);
    expect(await rowsOf(text)).toEqual([
      { ids: [1, 2, 3], responseStart: 1 },
      { ids: [...prompt, ...tokenizer.encode('at sat.', { special: false })], responseStart: prompt.length },
      { ids: [...prompt, ...spelled], responseStart: prompt.length },
    ]);
  });

  it('needs a response only where one is pooled', async () => {
    const row = JSON.stringify({ ids: [1, 2] });
    await expect(rowsOf(row)).rejects.toThrow(/line 1: expected a response to pool by response_mean/);
    expect(await rowsOf(row, ['prompt_mean', 'prompt_last'])).toEqual([{ ids: [1, 2], responseStart: 2 }]);
  });

  it.each([
    [{ messages: [] }, /messages/],
    [{ messages: [{ role: 'robot', content: '' }] }, /role/],
    [{ messages: [{ role: 'assistant', content: 'a' }] }, /chat template/],
    [{ prompt: 'a' }, /answer/],
    [{ prompt: 'a', anser: 'b' }, /did you mean "answer"/],
    [{ ids: [1, -1] }, /ids/],
    [{ ids: [1, 2], response_start: -1 }, /response_start/],
    [7, /expected an object/],
  ])('refuses %j', async (row, says) => {
    await expect(rowsOf(JSON.stringify(row))).rejects.toThrow(says);
  });

  it('answers any bytes with rows or an error that was thrown on purpose', async () => {
    const file = join(await temporaryFolder(), 'rows.jsonl');
    const keys = fc.constantFrom('ids', 'response_start', 'messages', 'prompt', 'answer', 'id', '__proto__');
    const value = fc.oneof(fc.jsonValue(), fc.array(fc.integer({ min: -1, max: 520 })), fc.nat(5));
    const line = fc.dictionary(keys, value).map((row) => JSON.stringify(row));
    const text = fc.oneof(
      fc.uint8Array(),
      fc.array(line).map((lines) => Buffer.from(lines.join('\n'))),
    );
    await fc.assert(
      fc.asyncProperty(text, async (bytes) => {
        await writeFile(file, bytes);
        const refusal = await check(file).catch((error: unknown) => error);
        const located = refusal instanceof DataError && /rows\.jsonl", line \d+: /.test(refusal.message);
        expect(refusal === undefined || located || refusal instanceof StoreError).toBe(true);
      }),
    );
  });
});
