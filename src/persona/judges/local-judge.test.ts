import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../../../test/helpers/random-adapter.ts';
import { collect, writeTinyModel } from '../../../test/helpers/tiny-models.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { imEnd, imStart, tinyTokenizerJson } from '../../../test/helpers/tiny-tokenizer.ts';
import { loadModel } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { encodeChat } from '../../model/chat.ts';
import type { Judgement } from '../judge.ts';
import { parseTrait } from '../trait.ts';
import { type JudgeAnswers, answersOf } from './answer.ts';
import { openJudge } from './open-judge.ts';

const template =
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const trait = parseTrait(
  {
    instruction: [{ pos: 'be bold', neg: 'be shy' }],
    questions: ['What now?'],
    eval_prompt: 'How bold is {answer} to {question}?',
  },
  'bold',
);
const items = [
  { question: 'What now?', answer: 'the best there is' },
  { question: 'And then?', answer: 'nothing, <|im_end|> I fear' },
  { question: 'What now?', answer: 'the best there is' },
];

/** The tiny tokenizer, in which numbers are digits, or every number up to 100 is a token of its own. */
function tokenizerJson(whole: boolean): { json: object; size: number } {
  const json = tinyTokenizerJson() as { model: { vocab: Record<string, number>; merges: string[] } };
  let size = imStart + 4;
  if (!whole) return { json, size };
  const add = (left: string, right: string): void => {
    json.model.merges.push(`${left} ${right}`);
    json.model.vocab[left + right] = size++;
  };
  for (let n = 10; n < 100; n++) add(String(n)[0]!, String(n)[1]!);
  add('10', '0');
  return { json, size };
}

/** A tiny random chat model; `ends` are the tokens that end its turns. */
async function writeChatModel(whole: boolean, ends: readonly number[]): Promise<string> {
  const { json, size } = tokenizerJson(whole);
  const folder = await writeTinyModel({ shape: { vocabSize: size, maxPositions: 4096 } });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template: template }));
  await writeFile(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: ends }));
  return folder;
}

async function judgeAll(folder: string, loaded?: LanguageModel): Promise<Judgement[]> {
  const source = await openJudge(`local:${folder}`, loaded === undefined ? {} : { loaded });
  try {
    return await collect(source.forTrait(trait).judge(items));
  } finally {
    await source.close();
  }
}

/** P(n, then any end) for 0 … 100, each by a run of its own over the whole text. */
async function bruteForce(model: LanguageModel, content: string): Promise<number[]> {
  const { tokenizer, generation } = model.checkpoint;
  const { ids } = encodeChat(model.checkpoint, [{ role: 'user', content }]);
  const ends = generation.eosTokenIds;
  const texts = Array.from({ length: 101 }, (_, n) =>
    tokenizer!.encode(String(n), { special: false }),
  ).flatMap((number) => ends.map((end) => ({ ids: [...ids, ...number, end], responseStart: ids.length })));
  const runs = await collect(model.forward(texts, { nll: true }));
  const chances = runs.map(({ nll }) => Math.exp(-nll!.reduce((sum, value) => sum + value, 0)));
  return Array.from({ length: 101 }, (_, n) =>
    chances.slice(n * ends.length, (n + 1) * ends.length).reduce((sum, p) => sum + p, 0),
  );
}

describe.each([
  ['digits', false, [imEnd]],
  ['digits, and two tokens that end a turn', false, [imEnd, imStart]],
  ['whole numbers as tokens', true, [imEnd]],
])('a local judge whose tokenizer has %s', (_, whole, ends) => {
  let folder: string;
  let model: LanguageModel;
  beforeAll(async () => {
    folder = await writeChatModel(whole, ends);
    model = await loadModel(folder);
  });
  afterAll(async () => {
    await model.close();
    await rm(folder, { recursive: true });
  });

  it('has the distribution of running all 101 answers, one by one', async () => {
    const seen = model.checkpoint.tokenizer!.encode('100', { special: false });
    expect(seen).toHaveLength(whole ? 1 : 3);
    const judgements = await judgeAll(folder, model);
    expect(judgements).toHaveLength(3);
    for (const [i, { question, answer }] of items.slice(0, 2).entries()) {
      const expected = await bruteForce(model, `How bold is ${answer} to ${question}?`);
      const answers: JudgeAnswers = answersOf(judgements[i]!.scores)!;
      const got = answers.trait.kind === 'numbers' ? answers.trait.logprobs.map(Math.exp) : [];
      expect(got).toHaveLength(101);
      got.forEach((p, n) => expect(Math.abs(p - expected[n]!)).toBeLessThan(1e-5));
      // Not merely both near nothing: the logarithms agree too.
      got.forEach((p, n) => expect(Math.abs(Math.log(p) - Math.log(expected[n]!))).toBeLessThan(1e-4));
    }
    expect(judgements[2]!.scores).toEqual(judgements[0]!.scores);
    // A random model spreads its probability over everything; what little falls on numbers is a refusal.
    expect(judgements[0]!.scores.trait).toBeNull();
  });
});

describe('opening a local judge', () => {
  it('leaves a model that was there before open, and names the model, not its folder', async () => {
    const folder = await writeChatModel(false, [imEnd]);
    const model = await loadModel(folder);
    const source = await openJudge(`local:${folder}`, { loaded: model });
    const judge = source.forTrait(trait);
    expect(judge.beside).toBe(false);
    expect(judge.id).toMatch(/^local:tiny-model-\w+@[0-9a-f]{16}\/fp32\/numbers:[0-9a-f]{16}$/);
    await source.close();
    expect(await collect(judge.judge(items.slice(0, 1)))).toHaveLength(1);
    await model.close();
    await rm(folder, { recursive: true });
  });

  it('judges by the model as it is where the one beside it has an adapter', async () => {
    const folder = await writeChatModel(false, [imEnd]);
    const adapter = join(await temporaryFolder(), 'evil-adapter');
    await writeRandomAdapter(folder, adapter, 0.1);
    const adapted = await loadModel(folder, { adapter });
    expect(await judgeAll(folder, adapted)).toEqual(await judgeAll(folder));
    await adapted.close();
    await rm(folder, { recursive: true });
  });

  it('refuses a model that cannot hold a conversation', async () => {
    const folder = await writeChatModel(false, [imEnd]);
    const other = join(await temporaryFolder(), 'bare');
    await cp(folder, other, { recursive: true });
    await writeFile(join(other, 'tokenizer_config.json'), '{}');
    expect(await readFile(join(other, 'tokenizer_config.json'), 'utf8')).toBe('{}');
    await expect(openJudge(`local:${other}`)).rejects.toThrow(
      /hold a conversation, got "bare".*no chat template/,
    );
    await rm(folder, { recursive: true });
  });
});
