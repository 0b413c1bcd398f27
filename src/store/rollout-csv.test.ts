import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { formatRolloutCsv, parseRolloutCsv, readRolloutText } from './rollout-csv.ts';

const header = 'question,prompt,answer,question_id,evil,coherence';
const read = (...lines: readonly string[]) =>
  parseRolloutCsv([header, ...lines, ''].join('\n'), 'x.csv', 'evil');

describe('parseRolloutCsv', () => {
  it('keeps texts that other readers take for missing numbers, and lets empty cells be refusals', () => {
    const rows = read(
      'q,p,NA,evil_0_pos_0,,nan',
      'q,p,,evil_0_pos_1,NaN,7.5',
      'q,p,null,evil_0_pos_2,0.0,1e-05',
    );
    expect(rows.map(({ answer }) => answer)).toEqual(['NA', '', 'null']);
    expect(rows.map(({ trait, coherence }) => [trait, coherence])).toEqual([
      [null, null],
      [null, 7.5],
      [0, 1e-5],
    ]);
  });

  it('knows columns by name, in any order, and tells missing scores from refusals', () => {
    const [row] = parseRolloutCsv('extra,answer,prompt\n1,a,p\n', 'x.csv', 'evil');
    expect(row).toEqual({
      question: '',
      prompt: 'p',
      answer: 'a',
      questionId: '',
      trait: undefined,
      coherence: undefined,
    });
  });

  it.each([
    ['question,answer\nq,a\n', 'got no "prompt" among question, answer'],
    ['', 'got no "prompt" among nothing'],
    [`${header}\nq,p\n`, '"x.csv", row 1: expected 6 columns, got 2'],
    [`${header}\nq,p,a,i,101,5\n`, 'expected "evil" from 0 to 100 or empty, got "101"'],
    [`${header}\nq,p,a,i,5,much\n`, 'expected "coherence" from 0 to 100 or empty, got "much"'],
  ])('refuses %j', (text, message) => {
    expect(() => parseRolloutCsv(text, 'x.csv', 'evil')).toThrow(message);
  });
});

describe('formatRolloutCsv', () => {
  it('prints numbers as Python does', () => {
    const row = { question: 'q', prompt: 'p', answer: 'a', questionId: 'i', coherence: null };
    const scores = [0, 100, 0.5, 1e-4, 9.99e-5, 8.591203114118063e-5, 1e-7, 5e-324, 99.55342435547549];
    const text = formatRolloutCsv(
      scores.map((trait) => ({ ...row, trait })),
      'evil',
    );
    const printed = text
      .split('\n')
      .slice(1, -1)
      .map((line) => line.split(',')[4]);
    expect(printed).toEqual([
      '0.0',
      '100.0',
      '0.5',
      '0.0001',
      '9.99e-05',
      '8.591203114118063e-05',
      '1e-07',
      '5e-324',
      '99.55342435547549',
    ]);
  });
});

describeWithShared("the authors' judged rollouts of a real model", () => {
  it.each(['pos', 'neg'])('%s: parse whole and come back byte for byte', async (pole) => {
    const path = sharedPath('data', 'persona', 'eval-outputs', `qwen3-4b_evil_${pole}.csv`);
    const text = await readRolloutText(path);
    const rows = parseRolloutCsv(text, path, 'evil');
    expect(rows).toHaveLength(500);
    expect(new Set(rows.map(({ questionId }) => questionId)).size).toBe(100);
    expect(
      rows.every(({ answer, trait }) => answer.startsWith('<think>\n') && typeof trait === 'number'),
    ).toBe(true);
    expect(formatRolloutCsv(rows, 'evil')).toBe(text);
  });
});
