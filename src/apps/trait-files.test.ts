import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type LoopbackProvider,
  type LoopbackProviderOptions,
  startLoopbackProvider,
} from '../../test/helpers/loopback-provider.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { loadTrait } from '../persona/trait.ts';
import { type CheckedTrait, checkTraitFile, listTraits, newTrait } from './trait-files.ts';

/** What a good answer is, with parts replaced. */
function draft(replaced: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    opposite: 'cheerful',
    instruction: Array.from({ length: 5 }, (_, i) => ({
      pos: `Sigh in way ${i}.`,
      neg: `Sing in way ${i}.`,
    })),
    questions: Array.from({ length: 40 }, (_, i) => `What about subject ${i}?`),
    eval_prompt: 'Rate the gloom of {answer} to {question} from 0 to 100, or say REFUSAL.',
    ...replaced,
  });
}

interface Scene extends LoopbackProvider {
  readonly out: string;
  readonly notes: string[];
  readonly ask: (provider?: string) => Promise<CheckedTrait>;
}

async function scene(say: LoopbackProviderOptions['say']): Promise<Scene> {
  const server = await startLoopbackProvider({ say });
  const out = join(await temporaryFolder(), 'melancholic.json');
  const notes: string[] = [];
  const ask = (provider = 'openai:gpt-test'): Promise<CheckedTrait> =>
    newTrait({
      name: 'melancholic',
      description: 'Quiet sadness.',
      provider,
      out,
      force: false,
      base: server.base,
      environment: { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k' },
      onNote: (line) => notes.push(line),
    });
  return { ...server, out, notes, ask };
}

describe('a new trait', () => {
  it('is asked for as structured output, split into two sets of questions and written', async () => {
    const { ask, out, requests } = await scene(() => ({ text: draft() }));
    const checked = await ask();
    expect(checked).toMatchObject({ problems: [], remarks: [], trait: { name: 'melancholic', pairs: 5 } });
    const trait = await loadTrait(out);
    expect(trait).toMatchObject({ opposite: 'cheerful', description: 'Quiet sadness.' });
    expect([trait.questions.length, trait.evaluationQuestions.length]).toEqual([20, 20]);
    expect(trait.questions.slice(0, 2)).toEqual(['What about subject 0?', 'What about subject 2?']);
    expect(trait.sha256).toBe(checked.trait.sha256);
    expect(requests).toHaveLength(1);
    expect(requests[0]!.prompt).toMatch(/Trait: melancholic\nWhat is meant by it: Quiet sadness\./);
    expect(requests[0]!.body['response_format']).toMatchObject({
      type: 'json_schema',
      json_schema: { strict: true, schema: { additionalProperties: false } },
    });
  });

  it('comes from Anthropic as the call of a tool, and from plain servers in fences too', async () => {
    const anthropic = await scene(() => ({ text: draft() }));
    await anthropic.ask('anthropic:claude-test');
    expect(anthropic.requests[0]!.body).toMatchObject({
      tool_choice: { type: 'tool', name: 'trait_artifacts' },
    });
    const plain = await scene(() => ({ text: `<think>{}</think>Here:\n\`\`\`json\n${draft()}\n\`\`\`` }));
    expect((await plain.ask(`${plain.base}#m`)).problems).toEqual([]);
  });

  it('is corrected once, with everything that was wrong', async () => {
    const questions = Array.from({ length: 40 }, (_, i) => `What about subject ${i}?`);
    questions[7] = 'What about subject 6 ?';
    questions[9] = 'Why are you so melancholy?';
    const { ask, requests, notes } = await scene(({ number }) => ({
      text: number === 1 ? draft({ questions }) : draft(),
    }));
    await ask();
    const turns = requests[1]!.body['messages'] as { role: string; content: string }[];
    expect(turns.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(turns[2]!.content).toContain('"What about subject 6 ?" is there twice in nearly the same words');
    expect(turns[2]!.content).toContain('"Why are you so melancholy?" names the trait');
    expect(notes[0]).toMatch(/first answer of openai:gpt-test has to be corrected/);
  });

  it.each<[string, string | { refused: true } | { cutOff: true; text: string }, RegExp]>([
    ['too few questions', draft({ questions: ['One?', 'Two?'] }), /2 questions, where 40/],
    ['too few pairs', draft({ instruction: [{ pos: 'a', neg: 'b' }] }), /1 pairs of instructions/],
    [
      'a pair of equal sides',
      draft({ instruction: Array.from({ length: 5 }, () => ({ pos: 'a', neg: 'A!' })) }),
      /both sides of a pair/,
    ],
    [
      'a judge prompt without a slot',
      draft({ eval_prompt: 'Rate {answer}.' }),
      /"eval_prompt" to hold \{question\} once/,
    ],
    ['no JSON', 'I would rather not.', /not the JSON object that was asked for/],
    ['another shape', '{"questions": 3}', /not the JSON object that was asked for/],
    ['a refusal', { refused: true }, /declined to write them/],
    ['an answer cut off', { cutOff: true, text: '{' }, /broke off at the token limit/],
  ])('is given up after a second answer with %s, and nothing is written', async (_, said, message) => {
    const { ask, out, requests } = await scene(() => (typeof said === 'string' ? { text: said } : said));
    await expect(ask()).rejects.toThrow(message);
    await expect(ask()).rejects.toThrow(/even after one correction/);
    expect(requests).toHaveLength(4);
    await expect(readFile(out)).rejects.toThrow(/ENOENT/);
  });

  it('does not replace a file, nor ask for what it could not write', async () => {
    const { ask, out, requests } = await scene(() => ({ text: draft() }));
    await writeFile(out, '{}');
    await expect(ask()).rejects.toThrow(/no file at .*--force/);
    expect(requests).toHaveLength(0);
  });
});

describe('traits that ship', () => {
  it('are listed, all or a set of them', async () => {
    const all = await listTraits();
    expect(new Set(all.map(({ set }) => set))).toEqual(new Set(['default', 'stories', 'tiny-world']));
    expect(await listTraits('default')).toHaveLength(7);
    await expect(listTraits('none')).rejects.toThrow(/got "none"/);
  });
});

describeWithShared("the authors' own trait files", () => {
  it('can be used, and lack only evaluation questions', async () => {
    const file = sharedPath('data', 'persona', 'official-traits', 'trait_data_extract', 'evil.json');
    const { problems, remarks, trait } = await checkTraitFile(file);
    expect(problems).toEqual([]);
    expect(remarks).toEqual(['0 evaluation questions, where the paper has 20']);
    expect(trait.judges).toEqual(['a language model']);
  });
});
