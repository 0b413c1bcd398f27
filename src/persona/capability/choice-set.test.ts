import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../../test/helpers/shared.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { summariseAccuracy } from './accuracy.ts';
import { readChoiceFile } from './choice-file.ts';
import { choicePrompt } from './choice-prompts.ts';
import { readChoiceSet, worldChoiceSet } from './choice-set.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-choices-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function file(name: string, text: string | Uint8Array): Promise<string> {
  await mkdir(join(folder, name, '..'), { recursive: true });
  await writeFile(join(folder, name), text);
  return join(folder, name);
}

describe('files of questions', () => {
  it('are read without a header, as the authors of MMLU publish them', async () => {
    const path = await file('college_physics_test.csv', '"What, then?",1,2,3,4,B\nWhy?,a,b,c,d,d\n');
    const { questions } = await readChoiceFile(path);
    expect(questions).toMatchObject([
      { subject: 'college_physics', question: 'What, then?', choices: ['1', '2', '3', '4'], answer: 1 },
      { question: 'Why?', answer: 3 },
    ]);
  });

  it('are read with a header, commas or semicolons, and lists as Python writes them', async () => {
    const rows = `question;choices;answer;extra\nQ1;"['a', ""it's""]";1;x\n;;;\nQ2;"[""a"", ""b""]";0;y\n`;
    const { questions } = await readChoiceFile(await file('mmlu_logic.csv', rows));
    expect(questions.map(({ subject, choices, answer }) => [subject, choices, answer])).toEqual([
      ['logic', ['a', "it's"], 1],
      ['logic', ['a', 'b'], 0],
    ]);
  });

  it('are read as JSON lines with subjects of their own', async () => {
    const line = { question: 'Q', subject: 'law', choices: ['x', 'y', 'z'], answer: 'C' };
    const { questions } = await readChoiceFile(await file('all.jsonl', `${JSON.stringify(line)}\n\n`));
    expect(questions).toMatchObject([{ subject: 'law', answer: 2 }]);
  });

  it('that are no UTF-8 are read, and said to be', async () => {
    const path = await file('a_test.csv', Buffer.from('Caf\u00e9?,a,b,c,d,A\n', 'latin1'));
    const { questions, notices } = await readChoiceFile(path);
    expect(questions[0]!.question).toBe('Café?');
    expect(notices[0]).toMatch('no UTF-8');
  });

  it.each([
    ['x.csv', 'a,b\n', 'row 1: expected question, choices and letter, got 2 fields'],
    ['x.csv', 'q,a,b,c,d,E\n', 'got "E"'],
    ['x.csv', 'question,choices,answer\nq,open("x"),1\n', 'row 2: in "choices", expected a list of choices'],
    ['x.jsonl', '{"question":"q","choices":["a","b"],"answer":2}\n', 'line 1: expected the answer'],
    ['x.jsonl', 'hello\n', 'line 1: expected a JSON object'],
    ['x.jsonl', '\n', 'got an empty file'],
  ])('are refused in one sentence: %s %j', async (name, text, message) => {
    await expect(readChoiceFile(await file(name, text))).rejects.toThrow(message);
  });
});

describe('sets of questions', () => {
  const line = (n: number): string => `Question ${n}?,a${n},b${n},c${n},d${n},C\n`;

  it('take solved questions from dev where there is one, else from the first, which are not asked', async () => {
    await file('test/law_test.csv', [1, 2, 3].map(line).join(''));
    await file('dev/law_dev.csv', [8, 9].map(line).join(''));
    expect((await readChoiceSet(folder, { shots: 2 })).items).toHaveLength(3);
    const own = join(folder, 'test');
    expect((await readChoiceSet(own, { shots: 2 })).items).toHaveLength(1);
    expect((await readChoiceSet(own, { limit: 2 })).items).toHaveLength(2);
    await expect(readChoiceSet(own, { shots: 4 })).rejects.toThrow('expected 4 solved questions');
    await expect(readChoiceSet(own, { shots: 3 })).rejects.toThrow('expected more questions than the 3');
  });

  it('say the question as MMLU does', async () => {
    const path = await file('high_school_law_test.csv', line(1) + line(2));
    const { questions } = await readChoiceFile(path);
    expect(choicePrompt(questions[1]!, questions.slice(0, 1))).toBe(
      'The following are multiple choice questions (with answers) about high school law.\n\n' +
        'Question 1?\nA. a1\nB. b1\nC. c1\nD. d1\nAnswer: C\n\nQuestion 2?\nA. a2\nB. b2\nC. c2\nD. d2\nAnswer:',
    );
  });

  it("hold every fact of the small world, more than a thousand questions, in the model's own tokens", async () => {
    const { items } = worldChoiceSet();
    expect(items.length).toBeGreaterThan(1000);
    expect(new Set(items.map(({ unit }) => unit)).size).toBeGreaterThan(400);
    const checkpoint = await loadCheckpoint(shippedModelFolder());
    const { prompt, continuations } = items[0]!.encode(checkpoint);
    const spelled = continuations.map((ids) => checkpoint.tokenizer!.decode(ids));
    expect(checkpoint.tokenizer!.decode(prompt)).toMatch(/<\|im_start\|>assistant\n$/);
    expect(new Set(spelled).size).toBe(continuations.length);
    expect(spelled[0]).toMatch(/^[A-Z].*\.$/);
  });
});

describe('accuracy', () => {
  it('counts, and draws units together', () => {
    const outcomes = Array.from({ length: 40 }, (_, i) => ({ unit: `u${i % 4}`, correct: i % 4 < 2 }));
    const accuracy = summariseAccuracy(outcomes, 'a');
    expect(accuracy).toMatchObject({ questions: 40, correct: 20, accuracy: 0.5 });
    // Four units that are right or wrong as a whole: far less is known than from forty questions.
    expect(accuracy.bootstrap!.lower).toBeLessThan(accuracy.wilson!.lower - 0.2);
    expect(summariseAccuracy([])).toMatchObject({ accuracy: null, wilson: null, bootstrap: null });
  });
});

describeWithShared('MMLU-Redux', () => {
  it('parses whole', async () => {
    const { items } = await readChoiceSet(sharedPath('data/evals/mmlu-redux'));
    expect(items).toHaveLength(5700);
    expect(new Set(items.map(({ subject }) => subject)).size).toBe(57);
    const five = await readChoiceSet(sharedPath('data/evals/mmlu-redux'), { shots: 5 });
    expect(five.items).toHaveLength(5700 - 57 * 5);
  });
});
