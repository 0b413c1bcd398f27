import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect, randomVector, writeTinyModel } from '../../../test/helpers/tiny-models.ts';
import {
  thinkEnd,
  thinkStart,
  tinyTokenizerJson,
  tinyVocabSize,
} from '../../../test/helpers/tiny-tokenizer.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { relativeError } from '../../../test/helpers/numbers.ts';
import { loadModel } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { chatTemplate } from '../../model/chat-template.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import { encodeChat } from '../../model/chat.ts';
import { dot } from '../../util/vectors.ts';
import { projectRows } from './project.ts';
import { encodeConversationRow, toProjectionRow } from './rows.ts';
import type { Watched } from './watch.ts';

const chatml =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
let folder = '';
let model: LanguageModel;
beforeAll(async () => {
  folder = await writeTinyModel({ shape: { vocabSize: tinyVocabSize } });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyTokenizerJson()));
  await writeFile(join(folder, 'chat_template.jinja'), chatml);
  model = await loadModel(folder);
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true });
});

const user = (content: string): ChatMessage => ({ role: 'user', content });
const reply = (content: string): ChatMessage => ({ role: 'assistant', content });
const parts = () => ({ ...model.checkpoint, chatTemplate: chatTemplate(chatml, {}, 'test') });
const watched = [1, 3].map(
  (layer): Watched => ({
    name: `v${layer}`,
    trait: 'v',
    source: vectorOf('v', [[0], [0]]),
    pooling: 'x',
    model: 'tiny',
    layer,
    vector: randomVector(24, layer),
  }),
);

describe('a conversation as a row', () => {
  it('has every turn where its prompt ends, and its words without the end of the turn', () => {
    const messages = [user('hi'), reply('hello'), user('and?'), reply('no')];
    const { ids, turns } = encodeConversationRow(parts(), messages);
    const text = (start: number, end: number): string =>
      model.checkpoint.tokenizer!.decode(ids.slice(start, end));
    expect(turns.map(({ start, end }) => text(start, end))).toEqual(['hello', 'no']);
    for (const { message, decided, decidedAt } of turns) {
      const prompt = encodeChat(parts(), messages.slice(0, message)).ids;
      expect(decided).toBe(prompt.length - 1);
      expect(ids.slice(0, decided + 1)).toEqual(prompt);
      expect(decidedAt).toBe('prompt_last');
    }
  });

  it('that waits for a reply ends with the state before it', () => {
    const messages = [user('hi'), reply('hello'), user('and?')];
    const { ids, turns } = encodeConversationRow(parts(), messages);
    expect(ids).toEqual(encodeChat(parts(), messages).ids);
    expect(turns.at(-1)).toMatchObject({
      pending: true,
      decided: ids.length - 1,
      start: ids.length,
      end: ids.length,
    });
  });

  it('is read at the end of a thought where the reply begins with one', () => {
    const { ids, turns } = encodeConversationRow(parts(), [user('hi'), reply('<think>well</think>hello')]);
    const [turn] = turns;
    expect(turn).toMatchObject({ decidedAt: 'think_end' });
    expect(ids[turn!.decided]).toBe(thinkEnd);
    expect(model.checkpoint.tokenizer!.decode(ids.slice(turn!.start, turn!.end))).toBe('hello');
    const open = toProjectionRow([1, 2, thinkStart, 3, 4], 2, { open: thinkStart, close: thinkEnd });
    expect(open.turns[0]).toMatchObject({ decidedAt: 'think_end', decided: 4, start: 5, end: 5 });
  });

  it.each<[ChatMessage[], string]>([
    [[], 'at least one message'],
    [[user('a'), reply(' ')], 'message 2 (assistant) to say something'],
    [[user('a'), { role: 'system', content: 's' }], 'system message to come first, got one as message 2'],
  ])('is refused: %j', (messages, sentence) => {
    expect(() => encodeConversationRow(parts(), messages)).toThrow(sentence);
  });
});

describe('projectRows', () => {
  it('gives every turn of one run: the state before it, and the mean of its words', async () => {
    const row = encodeConversationRow(parts(), [user('hi'), reply('hello'), user('and?'), reply('no')]);
    const short = toProjectionRow([5, 6, 7], 3, null);
    const [first, second] = await collect(projectRows(model, watched, [row, short]));
    const [pass] = await collect(model.forward([{ ids: row.ids }], { tokens: true }));
    const byHand = (token: number, { layer, vector }: Watched): number => {
      const at = (token * 4 + layer) * 24;
      return dot(pass!.tokens!.subarray(at, at + 24), vector) / Math.sqrt(dot(vector, vector));
    };
    expect(first!.tokens).toHaveLength(row.ids.length * 2);
    for (const [i, { start, end, decided }] of row.turns.entries()) {
      const turn = first!.turns[i]!;
      const words = Array.from({ length: end - start }, (_, k) => start + k);
      const mean = watched.map(
        (one) => words.reduce((sum, token) => sum + byHand(token, one), 0) / words.length,
      );
      expect(turn).toMatchObject({ turn: i + 1, tokens: end - start });
      expect(
        relativeError(
          turn.before,
          watched.map((one) => byHand(decided, one)),
        ),
      ).toBeLessThan(1e-5);
      expect(relativeError(turn.mean!, mean)).toBeLessThan(1e-5);
    }
    expect(second!.turns[0]).toMatchObject({ mean: null, tokens: 0 });
  });
});
