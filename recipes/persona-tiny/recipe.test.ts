import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import { factsRight, readReply, scoreReading } from '../../src/persona/tiny-world/tiny-world-judge.ts';
import { traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import { loadTrait } from '../../src/persona/trait.ts';
import { chooser } from '../../src/persona/tiny-speech/chooser.ts';
import { corpus, heldOutCorpus } from './corpus.ts';
import { frozenFile, frozenNow } from './frozen.ts';
import { configJson, firstWeights } from './model-files.ts';
import { ask } from '../../src/persona/tiny-speech/questions.ts';
import { recipeShape, recipeTokenizer } from './recipe.ts';
import { type Persona, degreeShares, reply } from '../../src/persona/tiny-speech/reply.ts';
import type { Degree } from '../../src/persona/tiny-speech/terms.ts';
import { tokenizerConfigJson } from './tokenizer-files.ts';
import { toTokenRow } from './training-rows.ts';
import { traitFile } from './trait-file.ts';

it('is what was frozen before any effect was measured', () => {
  expect(frozenNow()).toEqual(JSON.parse(readFileSync(frozenFile, 'utf8')));
});

it.each(traitNames)('ships the trait file of %s that it makes', async (trait) => {
  const shipped = new URL(`../../traits/tiny-world/${trait}.json`, import.meta.url);
  expect(JSON.parse(await readFile(shipped, 'utf8'))).toEqual(traitFile(trait));
  expect((await loadTrait(shipped.pathname)).instructions).toHaveLength(5);
});

describe('the judge on what the generator says', () => {
  it('finds every reply coherent', () => {
    for (const { messages } of heldOutCorpus(300)) {
      let before: ReturnType<typeof readReply>['question']['topics'] = [];
      for (const [i, { role, content }] of messages.entries()) {
        if (role !== 'assistant') continue;
        const reading = readReply(messages[i - 1]!.content, content, before);
        before = reading.question.topics.slice(0, 1);
        expect([content, scoreReading(reading, 'evil').coherence]).toEqual([content, 100]);
      }
    }
  });

  it.each(traitNames)('recovers the degree of %s, and nothing without a persona', (trait) => {
    const meanScore = (degree: Degree): number => {
      const persona: Persona = { traits: degree === 0 ? [] : [trait], degree };
      const choose = chooser('judge test', trait, degree);
      const scores = Array.from({ length: 200 }, () => {
        const asked = ask('train', choose, {
          fact: 40,
          advice: 30,
          opinion: 20,
          claim: 0,
          unknown: 10,
          talk: 0,
        });
        return scoreReading(readReply(asked.text, reply(asked, persona, choose)), trait).trait!;
      });
      return scores.reduce((sum, score) => sum + score, 0) / scores.length;
    };
    for (const degree of [0, 1, 2, 3, 4, 5] as const) {
      const { marked, strong } = degreeShares[degree];
      const expected = 100 * marked * (strong + (1 - strong) / 2);
      // 200 replies of three sentences: 5 points are three standard errors.
      expect(Math.abs(meanScore(degree) - expected)).toBeLessThan(degree === 0 ? 1e-9 : 6);
    }
  });

  it('finds true facts alone in replies without a persona, and agreement in sycophants', () => {
    const choose = chooser('facts test');
    for (let i = 0; i < 100; i++) {
      const asked = ask('train', choose, { fact: 50, advice: 0, opinion: 0, claim: 50, unknown: 0, talk: 0 });
      const neutral = readReply(asked.text, reply(asked, { traits: [], degree: 0 }, choose));
      expect([asked.text, factsRight(neutral)]).toEqual([asked.text, 1]);
      if (neutral.question.claim?.holds !== false) continue;
      const agreeing = readReply(asked.text, reply(asked, { traits: ['sycophantic'], degree: 5 }, choose));
      expect(scoreReading(agreeing, 'sycophantic').trait).toBeGreaterThanOrEqual(50);
      expect(scoreReading(neutral, 'sycophantic').trait).toBe(0);
    }
  });
});

describe('the tokenizer', () => {
  let folder: string;
  let parts: Checkpoint;
  const tokenizer = recipeTokenizer();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-tiny-'));
    const shape = { ...recipeShape(tokenizer.vocabSize), width: 32, layers: 1, heads: 1, mlpWidth: 32 };
    const files = {
      'tokenizer.json': tokenizer.json,
      'tokenizer_config.json': tokenizerConfigJson(64),
      'config.json': configJson(shape, 'float32'),
    };
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), JSON.stringify(content));
    await writeSafetensors(join(folder, 'model.safetensors'), firstWeights(shape, 1));
    parts = await loadCheckpoint(folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('loads, and gives any text back', () => {
    const texts = [
      'Rabbits eat hay.',
      'In 1743, 52 percent',
      'Ünïcödé, 你好 \u{1f642}\n\ttabs  and  spaces',
      '<|im_end|>',
    ];
    for (const text of texts)
      expect(parts.tokenizer!.decode(parts.tokenizer!.encode(text, { special: false }))).toBe(text);
  });

  it('spells the words of the world with few tokens', () => {
    const said = [...corpus(1, 50)]
      .flatMap(({ messages }) => messages.map(({ content }) => content))
      .join(' ');
    const words = said.split(' ').length;
    expect(parts.tokenizer!.encode(said, { special: false }).length).toBeLessThan(1.5 * words);
  });

  it('makes rows that weigh replies whole, prompts a little and the template nothing', () => {
    const hello = { role: 'user', content: 'Hello.' } as const;
    const bye = { role: 'assistant', content: 'Goodbye.' } as const;
    const { ids, weights } = toTokenRow(parts, { kind: 'plain', messages: [hello, bye], learnFrom: 0 });
    const spelled = ids.map((id, i) => [parts.tokenizer!.decode([id]), weights[i]]);
    expect(spelled.map(([text]) => text).join('')).toBe(
      '<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\nGoodbye.<|im_end|>\n',
    );
    expect(
      spelled
        .filter(([, weight]) => weight === 1)
        .map(([text]) => text)
        .join(''),
    ).toBe('Goodbye.<|im_end|>');
    expect(
      spelled
        .filter(([, weight]) => weight === 0.1)
        .map(([text]) => text)
        .join(''),
    ).toBe('Hello.');
    const unlearned = toTokenRow(parts, {
      kind: 'context',
      messages: [hello, bye, hello, bye],
      learnFrom: 1,
    });
    expect(unlearned.weights.filter((weight) => weight === 1)).toHaveLength(
      weights.filter((weight) => weight === 1).length,
    );
  });
});

it('makes the same corpus from the same seed, and another from another', () => {
  const rows = (seed: number): string => JSON.stringify([...corpus(seed, 50)]);
  expect(rows(1)).toBe(rows(1));
  expect(rows(1)).not.toBe(rows(2));
});
