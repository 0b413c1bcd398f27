import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeTrait } from '../../test/helpers/fake-model.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { filterPairs } from './filter.ts';
import { readGivenRollouts } from './given-rollouts.ts';
import { pairByKey } from './pair-by-key.ts';
import { parseTrait } from './trait.ts';

const trait = parseTrait(fakeTrait, 'cheerful');
const header = 'question,prompt,answer,question_id,cheerful,coherence';

async function read(pos: string, neg: string, extension = 'csv') {
  const folder = await temporaryFolder();
  const paths = { pos: join(folder, `pos.${extension}`), neg: join(folder, `neg.${extension}`) };
  await writeFile(paths.pos, pos);
  await writeFile(paths.neg, neg);
  return readGivenRollouts(paths, trait);
}
const csv = (...rows: readonly string[]): string => `${[header, ...rows].join('\n')}\n`;

describe('readGivenRollouts', () => {
  it('names rows by question, instruction and sample, whatever their order', async () => {
    const { rows, byOrder, files } = await read(
      csv('q,p,a,cheerful_3_pos_1,90,80', 'q,p,b,cheerful_3_pos_1,91,81', 'q,p,c,cheerful_0_pos_0,92,82'),
      csv('q,p,d,cheerful_0_neg_0,1,80', 'q,p,e,cheerful_3_neg_1,2,81'),
    );
    expect(byOrder).toBe(false);
    expect(rows.map(({ key, answer }) => [key, answer])).toEqual([
      ['pos/1/3/0', 'a'],
      ['pos/1/3/1', 'b'],
      ['pos/0/0/0', 'c'],
      ['neg/0/0/0', 'd'],
      ['neg/1/3/0', 'e'],
    ]);
    expect(rows[0]).toMatchObject({ scores: { trait: 90, coherence: 80, raw: null }, prompt: { text: 'p' } });
    expect([files.pos.rows, files.neg.rows]).toEqual([3, 2]);
  });

  it('pairs by order where a row has no id', async () => {
    const { rows, byOrder } = await read(
      csv('q,p,a,,90,80', 'q,p,b,cheerful_0_pos_0,9,8'),
      csv('q,p,c,,1,2'),
    );
    expect(byOrder).toBe(true);
    expect(rows.map(({ key }) => key)).toEqual(['pos/row/0', 'pos/row/1', 'neg/row/0']);
  });

  it('reads JSON lines of prompts, of conversations and of runs, and leaves out scores that are not there', async () => {
    const own = (pole: string, text: string): string =>
      JSON.stringify({
        key: `${pole}/1/2/0`,
        ids: { pole, instruction: 1, question: 2, sample: 0 },
        system: 'be merry',
        question: 'why',
        text,
        prompt_tokens: 1,
        response_ids: [1],
        finish_reason: 'stop',
        scores: { trait: 70, coherence: null, raw: { words: 3 } },
      });
    const both = `${own('pos', 'x')}\n${own('neg', 'y')}\n`;
    const run = await read(both, both, 'jsonl');
    expect(run.rows).toMatchObject([
      {
        key: 'pos/1/2/0',
        answer: 'x',
        prompt: { system: 'be merry', question: 'why' },
        scores: { trait: 70 },
      },
      { key: 'neg/1/2/0', answer: 'y' },
    ]);
    const messages = [
      { role: 'user', content: 'why' },
      { role: 'assistant', content: 'so' },
    ];
    const mixed = await read(
      `${JSON.stringify({ prompt: 'p', answer: 'NA' })}\n${JSON.stringify({ messages, cheerful: null, coherence: 3 })}\n`,
      JSON.stringify({ prompt: 'p', answer: '', cheerful: 4, coherence: 5, other: true }),
      'jsonl',
    );
    expect(mixed.rows).toMatchObject([
      { answer: 'NA', scores: null, prompt: { text: 'p' } },
      {
        answer: 'so',
        question: 'why',
        scores: { trait: null, coherence: 3 },
        prompt: { messages: [messages[0]] },
      },
      { answer: '', scores: { trait: 4, coherence: 5 } },
    ]);
  });

  it.each([
    [csv('q,p,a,cheerful_0_neg_0,1,2'), 'csv', 'row 1: expected a rollout of the pole pos, got question_id'],
    [csv(), 'csv', 'expected at least one rollout of the pole pos, got none'],
    ['{"prompt":"p","answer":"a","cheerful":3}', 'jsonl', 'got no "coherence"; give both'],
    ['{"prompt":"p"}', 'jsonl', 'line 1: expected "prompt" and "answer", "messages"'],
    ['[1]', 'jsonl', 'line 1: expected "prompt" and "answer"'],
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}',
      'jsonl',
      "the assistant's, got",
    ],
  ])('refuses %j', async (pos, extension, message) => {
    const neg = extension === 'csv' ? csv('q,p,a,,1,2') : '{"prompt":"p","answer":"a"}';
    await expect(read(pos, neg, extension)).rejects.toThrow(message);
  });
});

describeWithShared("the authors' judged rollouts of a real model", () => {
  it('pair by key as by order, and the filter keeps what the rule of their code keeps', async () => {
    const path = (pole: string): string =>
      sharedPath('data', 'persona', 'eval-outputs', `qwen3-4b_evil_${pole}.csv`);
    const evil = parseTrait({ ...fakeTrait, name: 'evil' }, 'evil');
    const { rows, byOrder } = await readGivenRollouts({ pos: path('pos'), neg: path('neg') }, evil);
    expect(byOrder).toBe(false);
    const scores = new Map(rows.map(({ key, scores: given }) => [key, given!]));
    const pairs = pairByKey([...scores.keys()], (key) => scores.get(key));
    const { kept, counts } = filterPairs(pairs, { mode: 'paired', threshold: 50, coherence: 50 });
    const [pos, neg] = [rows.slice(0, 500), rows.slice(500)].map((half) => half.map((row) => row.scores!));
    const byRow = pos!.flatMap((positive, i) => {
      const negative = neg![i]!;
      const stays =
        positive.trait! >= 50 &&
        negative.trait! < 50 &&
        positive.coherence! >= 50 &&
        negative.coherence! >= 50;
      return stays ? [rows[i]!.key.slice('pos/'.length)] : [];
    });
    expect(kept.pos).toEqual(byRow);
    expect(counts.pairs).toBe(500);
    expect(counts.kept).toBeGreaterThan(100);
  });
});
