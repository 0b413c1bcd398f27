import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { imEnd, tinyTokenizer, tinyVocabSize } from '../../test/helpers/tiny-tokenizer.ts';
import { chatTemplate } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { type ReadRows, type ReadRowsOptions, readTrainingRows } from './rows.ts';
import type { TrainingRow } from './types.ts';

const chatml =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const checkpoint = {
  folder: 'model',
  tokenizer: tinyTokenizer(),
  chatTemplate: chatTemplate(chatml, {}, 'test'),
  generation: { eosTokenIds: [imEnd] },
  config: { vocabSize: tinyVocabSize, maxPositions: 4096 },
} as unknown as Checkpoint;

async function read(
  lines: readonly unknown[],
  options: Partial<ReadRowsOptions> = {},
  more: readonly (readonly unknown[])[] = [],
): Promise<ReadRows> {
  const folder = await temporaryFolder();
  const files: string[] = [];
  for (const [i, content] of [lines, ...more].entries()) {
    const file = join(folder, `rows${i}.jsonl`);
    await writeFile(file, content.map((line) => `${JSON.stringify(line)}\n`).join(''));
    files.push(file);
  }
  return readTrainingRows(files, checkpoint, {
    maxLength: 1000,
    longRows: 'truncate',
    promptWeight: 0,
    ...options,
  });
}

const user = (content: string): object => ({ role: 'user', content });
const reply = (content: string, weight?: number): object => ({
  role: 'assistant',
  content,
  ...(weight === undefined ? {} : { weight }),
});
/** The text of the tokens that count. */
function trainedText({ ids, weights }: TrainingRow): string {
  return checkpoint.tokenizer!.decode(ids.filter((_, i) => weights[i]! > 0));
}

describe('rows of messages', () => {
  it('are trained on the replies and the ends of their turns', async () => {
    const { rows, counts } = await read([
      { messages: [user('hi'), reply('hello'), user('and?'), reply('no')], source: 'a data set' },
    ]);
    const row = rows.row(0);
    expect(trainedText(row)).toBe('hello<|im_end|>no<|im_end|>');
    expect(row.key).toBe('line 1');
    expect(row.ids.slice(row.promptLength, row.promptLength + 5)).toEqual([...Buffer.from('hello')]);
    expect(counts).toMatchObject({ read: 1, kept: 1, truncated: 0 });
  });

  it('leave out a reply of weight 0, also where prompts count', async () => {
    const messages = [user('a'), reply('b', 0), user('c'), reply('d', 1)];
    expect(trainedText((await read([{ messages }])).rows.row(0))).toBe('d<|im_end|>');
    const { rows } = await read([{ messages }], { promptWeight: 0.5 });
    const { ids, weights } = rows.row(0);
    const weightOf = (text: string): number => weights[ids.indexOf(text.charCodeAt(0), 12)]!;
    expect([weights[0], weights[1], weightOf('b'), weightOf('d')]).toEqual([0, 0.5, 0, 1]);
  });

  it('may be ShareGPT’s', async () => {
    const conversations = [
      { from: 'human', value: 'hi' },
      { from: 'gpt', value: 'hello' },
    ];
    const openAi = await read([
      { messages: [{ role: 'system', content: 'Be kind.' }, user('hi'), reply('hello')] },
    ]);
    const shareGpt = await read([{ conversations, system: 'Be kind.' }]);
    expect(shareGpt.rows.row(0)).toEqual(openAi.rows.row(0));
    expect(shareGpt.rows.digest()).toBe(openAi.rows.digest());
  });

  it('keep as text what spells a control token', async () => {
    const { rows } = await read([{ messages: [user('a<|im_end|>'), reply('b<|im_end|>c')] }]);
    const { ids, weights } = rows.row(0);
    expect(ids.filter((id) => id === imEnd)).toHaveLength(2);
    expect(trainedText({ ids, weights, key: '', promptLength: 0 })).toBe('b<|im_end|>c<|im_end|>');
  });

  it.each<[string, unknown, string]>([
    ['no message', { messages: [] }, 'line 2: in "messages", expected at least one message'],
    [
      'an unknown role',
      { messages: [{ role: 'narrator', content: 'a' }, reply('b')] },
      'line 2: in "messages.0.role", invalid option',
    ],
    [
      'an empty user message',
      { messages: [user(''), reply('b')] },
      'line 2: expected message 1 (user) to say something, got an empty text',
    ],
    [
      'an empty reply',
      { messages: [user('a'), reply(' ')] },
      'line 2: expected message 2 (assistant) to say something',
    ],
    [
      'the user at the end',
      { messages: [user('a'), reply('b'), user('c')] },
      'line 2: expected the last message to be the assistant\'s, got role "user"; end the conversation with a reply',
    ],
    [
      'a system message in the middle',
      { messages: [user('a'), { role: 'system', content: 's' }, reply('b')] },
      'line 2: expected the system message to come first, got one as message 2',
    ],
    ['a weight between', { messages: [user('a'), reply('b', 0.5)] }, 'line 2: in "messages.1.weight"'],
    [
      'tool calls',
      { messages: [user('a'), { role: 'assistant', content: 'b', tool_calls: [{}] }] },
      'tool calls',
    ],
    [
      'another layout',
      { ids: [1, 2], response_start: 1 },
      'line 2: expected "messages" as in line 1, got "ids"; a file has rows of one layout',
    ],
    [
      'no layout',
      { text: 'a' },
      'line 2: expected an object with "messages" (OpenAI), "conversations" (ShareGPT), "prompt" and "answer", or "ids"',
    ],
  ])('are refused where one has %s', async (_, bad, sentence) => {
    await expect(read([{ messages: [user('a'), reply('b')] }, bad])).rejects.toThrow(sentence);
  });

  it('need a chat template', async () => {
    const bare = { ...checkpoint, chatTemplate: null };
    const file = join(await temporaryFolder(), 'rows.jsonl');
    await writeFile(file, JSON.stringify({ messages: [user('a'), reply('b')] }));
    const options = { maxLength: 10, longRows: 'skip', promptWeight: 0 } as const;
    await expect(readTrainingRows([file], bare, options)).rejects.toThrow('has no chat template');
  });
});

describe('tokenised rows', () => {
  it('are trained from response_start on, or by their weights', async () => {
    const { rows } = await read([
      { ids: [5, 6, 7, 8], response_start: 2 },
      { ids: [5, 6, 7], weights: [1, 0, 0.5] },
      { ids: [5, 6, 7], response_start: 0 },
    ]);
    expect(rows.row(0)).toEqual({
      key: 'line 1',
      ids: [5, 6, 7, 8],
      weights: Float32Array.of(0, 0, 1, 1),
      promptLength: 2,
    });
    expect(rows.row(1)).toMatchObject({ weights: Float32Array.of(0, 0, 0.5), promptLength: 2 });
    // Nothing stands before the first token that could predict it.
    expect(rows.row(2)).toMatchObject({ weights: Float32Array.of(0, 1, 1), promptLength: 0 });
    expect([rows.weightOf(0), rows.weightOf(1), rows.lengthOf(2), rows.tokens]).toEqual([2, 0.5, 3, 10]);
  });

  it.each<[string, unknown, string]>([
    ['no token', { ids: [], response_start: 0 }, 'line 1: in "ids", expected at least one token'],
    [
      'an id beyond the vocabulary',
      { ids: [1, 999], response_start: 1 },
      'line 1: expected token ids from 0 to 263, got 999',
    ],
    [
      'a start beyond the end',
      { ids: [1, 2], response_start: 3 },
      'line 1: expected "response_start" of at most 2',
    ],
    ['no start', { ids: [1, 2] }, 'line 1: expected "response_start"'],
    ['a misspelt start', { ids: [1, 2], respose_start: 1 }, 'did you mean "response_start"?'],
    ['too few weights', { ids: [1, 2], weights: [1] }, 'line 1: expected 2 "weights", one a token, got 1'],
  ])('are refused where one has %s', async (_, bad, sentence) => {
    await expect(read([bad])).rejects.toThrow(sentence);
  });
});

describe('rows of raw text', () => {
  it('are trained on the answer and the end of the text', async () => {
    const { rows } = await read([{ prompt: 'One day.', answer: '. It<|im_end|> rained' }]);
    const row = rows.row(0);
    // Tokenised apart: the tokenizer has a token for ".." that a joint encoding would use.
    expect(row.ids.slice(0, row.promptLength)).toEqual([...Buffer.from('One day.')]);
    expect(trainedText(row)).toBe('. It<|im_end|> rained<|im_end|>');
    expect(row.ids.filter((id) => id === imEnd)).toHaveLength(1);
  });

  it('are refused without an answer', async () => {
    await expect(read([{ prompt: 'a', answer: '' }])).rejects.toThrow(
      'line 1: in "answer", expected some text',
    );
    await expect(read([{ prompt: 'a', anser: 'b' }])).rejects.toThrow('did you mean "answer"?');
  });
});

describe('rows over the limit', () => {
  const long = { ids: [1, 2, 3, 4, 5, 6], response_start: 2 };
  const longPrompt = { ids: [1, 2, 3, 4, 5, 6], response_start: 5 };
  const short = { ids: [1, 2, 3], response_start: 1 };

  it('lose their ends, and are left out where no response is left', async () => {
    const { rows, counts, longest } = await read([long, longPrompt, short], { maxLength: 4 });
    expect(rows.length).toBe(2);
    expect(rows.row(0)).toMatchObject({ ids: [1, 2, 3, 4], weights: Float32Array.of(0, 0, 1, 1) });
    expect(counts).toMatchObject({ read: 3, kept: 2, truncated: 1, skippedEmpty: 1, skippedLong: 0 });
    expect(longest).toBe(6);
  });

  it('are left out where that is asked for', async () => {
    const { rows, counts } = await read([long, longPrompt, short], { maxLength: 4, longRows: 'skip' });
    expect(rows.length).toBe(1);
    expect(counts).toMatchObject({ kept: 1, skippedLong: 2, truncated: 0 });
  });

  it('end the reading where nothing is left', async () => {
    await expect(read([longPrompt, { ids: [1, 2], response_start: 2 }], { maxLength: 4 })).rejects.toThrow(
      /^Expected at least one row with response tokens in .*, got 2 of which 0 are longer than 4 tokens and 2 have no response token within them/,
    );
    await expect(read([])).rejects.toThrow('Expected at least one row in');
  });
});

describe('several files', () => {
  it('are read one after the other, each of one layout', async () => {
    const { rows } = await read([{ ids: [1, 2], response_start: 1 }], {}, [
      [{ messages: [user('a'), reply('b')] }],
    ]);
    expect([rows.row(0).key, rows.row(1).key]).toEqual(['file 1, line 1', 'file 2, line 1']);
  });
});
