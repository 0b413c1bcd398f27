import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { shippedTraits } from '../store/shipped-traits.ts';
import { wordsOf } from './lexical-judge.ts';
import { loadTrait, parseTrait, resolveTrait } from './trait.ts';

/** The authors' three fields. */
const minimal = {
  instruction: [{ pos: 'Be kind.', neg: 'Be mean.' }],
  questions: ['How are you?', 'What now?'],
  eval_prompt: 'Question {question}, answer {answer}.',
};

describe('parseTrait', () => {
  it('takes the three fields of the authors and leaves the rest open', () => {
    expect(parseTrait(minimal, 'kind')).toMatchObject({
      name: 'kind',
      opposite: null,
      instructions: minimal.instruction,
      questions: minimal.questions,
      evaluationQuestions: [],
      evalPrompt: minimal.eval_prompt,
      template: null,
      lexicon: null,
    });
  });

  it('hashes the content and the name', () => {
    const hash = parseTrait(minimal, 'kind').sha256;
    expect(parseTrait(structuredClone(minimal), 'kind').sha256).toBe(hash);
    expect(parseTrait(minimal, 'friendly').sha256).not.toBe(hash);
    expect(parseTrait({ ...minimal, questions: ['How are you?'] }, 'kind').sha256).not.toBe(hash);
  });

  const lexicon = { positive: ['kind'], negative: ['mean'] };
  it.each([
    [{ questions: [] }, 'in "questions", expected at least one question, got none'],
    [{ questions: ['ok', '  '] }, 'in "questions.1", expected a text, got an empty one'],
    [{ questions: 'How are you?' }, 'in "questions", invalid input: expected array'],
    [{ questions: ['a?', 'a?'] }, 'the question "a?" is there twice'],
    [{ instruction: [] }, 'in "instruction", expected at least one pair of instructions, got none'],
    [{ instruction: [{ pos: 'Be kind.' }] }, 'in "instruction.0.neg", invalid input: expected string'],
    [{ evaluation_questions: ['What now?'] }, '"What now?" is in "questions" and in "evaluation_questions"'],
    [{ evaluation_question: ['x'] }, 'unrecognized key: "evaluation_question"'],
    [{ template: '{question}' }, 'expected "template" to hold {system} once'],
    [{ eval_prompt: '{question} {answer} {answer}' }, 'expected "eval_prompt" to hold {answer} once'],
    [{ lexicon: { ...lexicon, negative: ['kind'] } }, 'the word "kind" is in both lists'],
    [{ lexicon: { ...lexicon, positive: ['very kind'] } }, 'in "lexicon.positive.0", expected a single word'],
    [{ lexicon: { ...lexicon, positive: ['Kind'] } }, 'expected a single word in lower case'],
    [
      { lexicon: { ...lexicon, positive: [] } },
      'in "lexicon.positive", expected at least one word, got none',
    ],
  ])('refuses %j', (changes, message) => {
    expect(() => parseTrait({ ...minimal, ...changes }, 'kind', 'kind.json')).toThrow(message);
    expect(() => parseTrait({ ...minimal, ...changes }, 'kind', 'kind.json')).toThrow(
      /^"kind\.json" is no sound trait file: .*; correct it and run the command again\.$/,
    );
  });
});

describe('loadTrait', () => {
  it('names a trait after its file, unless the file says otherwise', async () => {
    const file = join(await temporaryFolder(), 'grumpy.json');
    await writeFile(file, JSON.stringify(minimal));
    expect((await loadTrait(file)).name).toBe('grumpy');
    await writeFile(file, JSON.stringify({ ...minimal, name: 'cross' }));
    expect((await loadTrait(file)).name).toBe('cross');
  });

  it('says what is wrong with a file that is no trait', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'broken.json');
    await writeFile(file, '{"questions": [');
    await expect(loadTrait(file)).rejects.toThrow(/broken\.json" is malformed: expected JSON/);
    await expect(loadTrait(join(folder, 'none.json'))).rejects.toThrow('nothing is there; check the path');
  });
});

describe('resolveTrait', () => {
  it('finds shipped traits by name and others by path', async () => {
    expect((await resolveTrait('cheerful', { set: 'stories' })).name).toBe('cheerful');
    const file = join(await temporaryFolder(), 'own.json');
    await writeFile(file, JSON.stringify(minimal));
    expect((await resolveTrait(file)).name).toBe('own');
  });
});

describe('shipped traits of the set stories', async () => {
  for (const { name, file } of (await shippedTraits()).filter(({ set }) => set === 'stories')) {
    it(`${name} is complete, and its openings speak for neither pole`, async () => {
      const trait = await loadTrait(file);
      expect(trait.name).toBe(name);
      expect(trait.instructions).toHaveLength(5);
      expect(trait.questions).toHaveLength(20);
      expect(trait.evaluationQuestions).toHaveLength(20);
      expect(new Set([...trait.questions, ...trait.evaluationQuestions]).size).toBe(40);
      expect([trait.opposite, trait.description, trait.template, trait.evalPrompt]).not.toContain(null);
      const listed = new Set([...trait.lexicon!.positive, ...trait.lexicon!.negative]);
      const openings = [...trait.questions, ...trait.evaluationQuestions];
      expect(openings.flatMap(wordsOf).filter((word) => listed.has(word))).toEqual([]);
    });

    it(`${name} lists words that its own instructions are made of`, async () => {
      const { instructions, lexicon } = await loadTrait(file);
      const count = (text: string, words: readonly string[]): number =>
        wordsOf(text).filter((word) => words.includes(word)).length;
      for (const { pos, neg } of instructions) {
        expect(count(pos, lexicon!.positive)).toBeGreaterThan(count(pos, lexicon!.negative));
        expect(count(neg, lexicon!.negative)).toBeGreaterThan(count(neg, lexicon!.positive));
      }
    });
  }
});

describeWithShared("the authors' own trait files", () => {
  it('load unchanged, both sets of questions', async () => {
    for (const set of ['trait_data_extract', 'trait_data_eval']) {
      const folder = sharedPath('data', 'persona', 'official-traits', set);
      const files = await readdir(folder);
      expect(files).toHaveLength(7);
      for (const file of files) {
        const trait = await loadTrait(join(folder, file));
        expect(trait.name).toBe(file.replace('.json', ''));
        expect(trait.instructions).toHaveLength(5);
        expect(trait.questions).toHaveLength(20);
        expect(trait.evalPrompt).toContain('{answer}');
      }
    }
  });
});
