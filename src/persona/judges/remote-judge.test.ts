import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type LoopbackProvider,
  type LoopbackProviderOptions,
  startLoopbackProvider,
} from '../../../test/helpers/loopback-provider.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import type { JudgeItem, Judgement, JudgeProvider } from '../judge.ts';
import { parseTrait } from '../trait.ts';
import { type OpenJudgeOptions, openJudge } from './open-judge.ts';

const KEY = 'sk-planted-key-0123456789';
const trait = parseTrait(
  {
    instruction: [{ pos: 'be bold', neg: 'be shy' }],
    questions: ['What now?'],
    eval_prompt: 'How bold is {answer} to {question}? One number.',
  },
  'bold',
);
const patience = { attempts: 4, firstPauseMs: 1, longestPauseMs: 2, stallMs: 400 };

interface Scene extends LoopbackProvider {
  readonly folder: string;
  readonly open: (name?: string, options?: OpenJudgeOptions) => Promise<JudgeProvider>;
}

/** A server, and judges that ask it under any provider's name, with their cache in a folder of the test. */
async function scene(options: LoopbackProviderOptions): Promise<Scene> {
  const server = await startLoopbackProvider(options);
  const folder = await temporaryFolder();
  const open: Scene['open'] = async (name = 'openai:gpt-4.1-mini', judgeOptions = {}) => {
    const environment = { PERSONA_CACHE: folder, OPENAI_API_KEY: KEY, ANTHROPIC_API_KEY: KEY };
    const base = server.base;
    const source = await openJudge(name, { environment, patience, base, ...judgeOptions });
    onTestFinished(() => source.close());
    return source.forTrait(trait);
  };
  return { ...server, folder, open };
}

/** Scores by the answer's own words: "85" is scored 85 by most of the probability. */
const byAnswer: LoopbackProviderOptions['say'] = ({ prompt }) => {
  const number = /\d+/.exec(prompt)?.[0] ?? '0';
  return {
    tokens: [
      [number, 0.75],
      [' 0', 0.125],
      ['REF', 0.125],
    ],
  };
};

function items(count: number): JudgeItem[] {
  return Array.from({ length: count }, (_, i) => ({ question: 'What now?', answer: `reply ${i}` }));
}

async function judgeAll(judge: JudgeProvider, list: readonly JudgeItem[]): Promise<Judgement[]> {
  const judgements: Judgement[] = [];
  for await (const judgement of judge.judge(list)) judgements[judgement.index] = judgement;
  return judgements;
}

describe('a judge behind OpenAI chat completions', () => {
  it('asks as the paper does, once for each metric, and computes the score from the probabilities', async () => {
    const { open, requests } = await scene({ say: byAnswer });
    const [judgement] = await judgeAll(await open(), [
      { question: 'A {answer}?', answer: 'reply 85 {question}' },
    ]);
    expect(judgement!.scores.trait).toBeCloseTo((85 * 0.75) / 0.875, 12);
    expect(judgement!.scores.raw).toMatchObject({ trait: { kind: 'tokens' }, coherence: { kind: 'tokens' } });
    expect(requests).toHaveLength(2);
    const [first, second] = requests;
    expect(first!.prompt).toBe('How bold is reply 85 {question} to A {answer}?? One number.');
    expect(second!.prompt).toContain('coherent');
    expect(first!.body).toEqual({
      model: 'gpt-4.1-mini',
      messages: [{ role: 'user', content: first!.prompt }],
      max_completion_tokens: 1,
      temperature: 0,
      logprobs: true,
      top_logprobs: 20,
      seed: 0,
    });
    expect(first!.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(first!.path).toBe('/v1/chat/completions');
  });

  it('gives null for a refusal, a filtered reply and an empty list of tokens', async () => {
    const refusals: LoopbackProviderOptions['say'] = ({ prompt }) => {
      if (prompt.includes('reply 0'))
        return {
          tokens: [
            ['REF', 0.9],
            ['50', 0.1],
          ],
        };
      if (prompt.includes('reply 1')) return { refused: true };
      return { tokens: [], text: '' };
    };
    const { open } = await scene({ say: refusals });
    const judgements = await judgeAll(await open(), items(3));
    expect(judgements.map(({ scores }) => scores.trait)).toEqual([null, null, null]);
    expect(judgements[1]!.scores.raw).toMatchObject({ trait: { kind: 'refused' } });
  });

  it('takes a filter that answers with status 400 for a refusal', async () => {
    const error = { code: 'content_filter', message: 'The prompt was filtered.', type: null };
    const { open } = await scene({ say: byAnswer, trouble: () => ({ status: 400, body: { error } }) });
    const [judgement] = await judgeAll(await open(), items(1));
    expect(judgement!.scores).toMatchObject({
      trait: null,
      coherence: null,
      raw: { trait: { kind: 'refused' } },
    });
  });

  it.each([
    ['a model that sends none', 'openai:gpt-new', 1],
    ['a reasoning model, before it is asked', 'openai:o3-mini', 0],
  ])('fails clearly without log-probabilities: %s', async (_, name, asked) => {
    const { open, requests } = await scene({ say: () => ({ text: '85' }) });
    const judging = open(name).then((judge) => judgeAll(judge, items(1)));
    await expect(judging).rejects.toThrow(/log-probabilities from openai:.*got none.*--judge-samples 5/);
    expect(requests.length > 0 ? 1 : 0).toBe(asked);
  });

  it('samples a reasoning model where asked to, with room to think and without a temperature', async () => {
    const { open, requests } = await scene({ say: () => ({ text: '85' }) });
    const [judgement] = await judgeAll(await open('openai:o3-mini', { samples: 3 }), items(1));
    expect(judgement!.scores.trait).toBe(85);
    expect(requests).toHaveLength(6);
    expect(requests[0]!.body).not.toHaveProperty('temperature');
    expect(requests[0]!.body).not.toHaveProperty('logprobs');
    expect(requests[0]!.body['max_completion_tokens']).toBeGreaterThan(4000);
  });
});

describe('a judge behind a server that speaks like OpenAI', () => {
  it('sends the old name of the limit and no key where there is none', async () => {
    const { open, requests, base } = await scene({ say: byAnswer });
    const [judgement] = await judgeAll(await open(`${base}#small/model`), items(1));
    expect(judgement!.scores.trait).toBeCloseTo(0, 12);
    expect(requests[0]!.body).toMatchObject({ model: 'small/model', max_tokens: 1 });
    expect(requests[0]!.headers.authorization).toBeUndefined();
  });

  it('names the server that speaks another protocol', async () => {
    const { open, base } = await scene({
      say: byAnswer,
      trouble: () => ({ status: 200, body: { ok: true } }),
    });
    await expect(judgeAll(await open(`${base}#m`), items(1))).rejects.toThrow(
      /127\.0\.0\.1.*#m in the shape of OpenAI's chat completions.*"choices".*\/v1/,
    );
  });
});

describe('a judge behind Anthropic messages', () => {
  it('takes the mean of five sampled answers', async () => {
    const texts = ['80', '90', 'REFUSAL', ' 70\n', '**80**'];
    const { open, requests } = await scene({
      say: ({ number }) => ({ text: texts[(number - 1) % 5]! }),
    });
    const judge = await open('anthropic:claude-test', { concurrency: 1 });
    const [judgement] = await judgeAll(judge, items(1));
    expect(judgement!.scores).toMatchObject({ trait: 80, coherence: 80 });
    expect(judgement!.scores.raw).toMatchObject({ trait: { kind: 'samples' } });
    expect(requests).toHaveLength(10);
    expect(requests[0]!.path).toBe('/v1/messages');
    expect(requests[0]!.headers).toMatchObject({ 'x-api-key': KEY, 'anthropic-version': '2023-06-01' });
    expect(requests[0]!.headers.authorization).toBeUndefined();
    expect(requests[0]!.body).toMatchObject({ model: 'claude-test', max_tokens: 16, temperature: 1 });
  });

  it('counts refusals as samples without a number', async () => {
    const { open } = await scene({
      say: ({ number }) => (number % 5 === 1 ? { text: '40' } : { refused: true }),
    });
    const judge = await open('anthropic:claude-test', { concurrency: 1 });
    const [judgement] = await judgeAll(judge, items(1));
    expect(judgement!.scores.trait).toBeNull();
  });
});

describe('trouble on the way', () => {
  it.each([
    ['429 with retry-after', { status: 429, headers: { 'retry-after': '0' } }],
    ['429 with retry-after-ms', { status: 429, headers: { 'retry-after-ms': '3' } }],
    ['500', { status: 500, body: { error: { message: 'oops' } } }],
    ['529', { status: 529 }],
    ['an answer that is no JSON', { status: 200, body: '<html>gateway</html>' }],
    ['a time-out', 'stall'],
    ['a cut connection', 'cut'],
  ] as const)('is waited out: %s', async (_, trouble) => {
    const { open, requests } = await scene({
      say: byAnswer,
      trouble: ({ number }) => (number <= 2 ? trouble : undefined),
    });
    const [judgement] = await judgeAll(await open(), [{ question: 'q', answer: '60' }]);
    expect(judgement!.scores.trait).toBeCloseTo((60 * 0.75) / 0.875, 12);
    expect(requests.length).toBeGreaterThanOrEqual(4);
  });

  it('is given up after so many failures, and what was answered is kept', async () => {
    const { open, requests } = await scene({
      say: byAnswer,
      trouble: ({ prompt }) => (prompt.includes('reply 3') ? { status: 503 } : undefined),
    });
    const judging = judgeAll(await open(undefined, { concurrency: 1 }), items(8));
    await expect(judging).rejects.toThrow(
      /^Gave up asking openai:gpt-4\.1-mini after 4 failures in a row \(the last: it answered 503/,
    );
    const asked = requests.length;
    const again = judgeAll(await open(undefined, { concurrency: 1 }), items(3));
    expect(await again).toHaveLength(3);
    expect(requests).toHaveLength(asked);
  });

  it.each([
    [401, {}, /does not take the key in OPENAI_API_KEY \(status 401/],
    [
      404,
      { error: { message: 'The model does not exist', code: 'model_not_found' } },
      /The model does not exist/,
    ],
    [429, { error: { message: 'You ran out', code: 'insufficient_quota' } }, /refused: You ran out/],
    [302, {}, /redirects elsewhere, where no key may go/],
  ])('that will not pass is told at once: %i', async (status, body, message) => {
    const headers = { location: 'http://127.0.0.1:9/v1' };
    const { open, requests } = await scene({ say: byAnswer, trouble: () => ({ status, headers, body }) });
    await expect(judgeAll(await open(), items(1))).rejects.toThrow(message);
    expect(requests.length).toBeLessThanOrEqual(2);
  });

  it('is not waited out where the server asks for too long a pause', async () => {
    const headers = { 'retry-after': '301' };
    const { open } = await scene({ say: byAnswer, trouble: () => ({ status: 429, headers }) });
    await expect(judgeAll(await open(), items(1))).rejects.toThrow(/asks to wait 301 s/);
  });
});

describe('the load on a provider', () => {
  it('is never more requests at once than allowed', async () => {
    const { open, mostAtOnce, requests } = await scene({
      say: byAnswer,
      before: () => new Promise((resolve) => setTimeout(resolve, 5)),
    });
    await judgeAll(await open(undefined, { concurrency: 3 }), items(12));
    expect(requests).toHaveLength(24);
    expect(mostAtOnce()).toBe(3);
  });

  it('is estimated as what it will be', async () => {
    const { open, requests } = await scene({ say: byAnswer });
    const judge = await open();
    const { calls, inputTokens, outputTokens } = judge.estimate({ replies: 7, replyTokens: 10 });
    await judgeAll(judge, items(7));
    expect(calls).toBe(requests.length);
    expect(outputTokens).toBe(14);
    const sent = requests.reduce((sum, { prompt }) => sum + prompt.length / 4, 0);
    expect(Math.abs(inputTokens - sent)).toBeLessThan(0.2 * sent);
    const sampling = await open('anthropic:m');
    expect(sampling.estimate({ replies: 7, replyTokens: 10 }).calls).toBe(70);
  });
});

describe('answers that are there already', () => {
  it('are not asked for again, by whatever judge of the same name', async () => {
    const { open, requests } = await scene({ say: byAnswer });
    const first = await judgeAll(await open(), items(5));
    expect(requests).toHaveLength(10);
    expect(await judgeAll(await open(), items(6))).toEqual([...first, expect.anything()]);
    expect(requests).toHaveLength(12);
    await judgeAll(await open('openai:other'), items(1));
    expect(requests).toHaveLength(14);
  });

  it('are kept when judging is stopped, and only calls in flight are asked again', async () => {
    const controller = new AbortController();
    const { open, requests } = await scene({
      say: byAnswer,
      before: async ({ number }) => {
        if (number === 8) controller.abort();
        if (number >= 8) await new Promise((resolve) => setTimeout(resolve, 50));
      },
    });
    const judge = await open(undefined, { concurrency: 1 });
    const stopping = async (): Promise<void> => {
      for await (const _ of judge.judge(items(10), { signal: controller.signal })) void _;
    };
    await expect(stopping()).rejects.toThrow(/^Stopped/);
    expect(requests.length).toBeLessThanOrEqual(9);
    const asked = requests.length;
    await judgeAll(await open(undefined, { concurrency: 1 }), items(10));
    expect(requests.length - asked).toBeLessThanOrEqual(20 - 7);
  });
});

describe('keys', () => {
  it('are written nowhere, not even where a provider repeats them', async () => {
    const { open, folder, requests } = await scene({
      say: byAnswer,
      trouble: ({ prompt, headers }) =>
        prompt.includes('reply 2')
          ? { status: 422, body: { error: { message: `bad ${headers.authorization}`, code: 'odd' } } }
          : undefined,
    });
    const judge = await open();
    expect(judge.id).not.toContain(KEY);
    const failure: unknown = await judgeAll(judge, items(4)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect((failure as Error).message).toMatch(/refused: bad Bearer …/);
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain(KEY);
    expect(requests.every(({ headers }) => headers.authorization === `Bearer ${KEY}`)).toBe(true);
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      expect(await readFile(join(file.parentPath, file.name), 'utf8')).not.toContain(KEY);
    }
  });

  it('go to the host that they are for and to no other', async () => {
    const { base, requests, folder } = await scene({ say: byAnswer });
    const environment = {
      PERSONA_CACHE: folder,
      OPENAI_API_KEY: 'openai-key',
      ANTHROPIC_API_KEY: 'anthropic-key',
      PERSONA_KEY_OTHER_EXAMPLE: 'other-key',
      PERSONA_KEY_127_0_0_1: 'own-key',
    };
    const source = await openJudge(`${base}#m`, { environment, patience });
    onTestFinished(() => source.close());
    await judgeAll(source.forTrait(trait), items(1));
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer own-key',
      'Bearer own-key',
    ]);
    expect(JSON.stringify(requests)).not.toMatch(/openai-key|anthropic-key|other-key/);
  });
});
