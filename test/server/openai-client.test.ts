/** The server as OpenAI's own client sees it, unchanged. */
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/apps/generate.ts';
import { openTestServer, type TestServer } from '../helpers/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await openTestServer();
});
afterAll(() => server.close());

const model = 'persona-tiny';
const messages = [{ role: 'user', content: 'How do I bake bread?' }] as const;
const story = { model: 'stories260K', prompt: 'One day, a girl', max_tokens: 30 } as const;

describe('chat completions', () => {
  it('are what `persona generate` says', async () => {
    const sampling = { temperature: 0.8, seed: 5 };
    const request = { model, messages: [...messages], max_tokens: 40, ...sampling };
    const answer = await server.openai.chat.completions.create(request);
    const own = await generate({
      model: server.chat,
      input: { messages: [...messages] },
      maxTokens: 40,
      ...sampling,
    });
    const [choice] = answer.choices;
    expect(choice?.message).toEqual({ role: 'assistant', content: own.text, refusal: null });
    expect(choice?.finish_reason).toBe(own.finishReason);
    expect(answer.usage?.completion_tokens).toBe(own.ids.length);
    const again = await server.openai.chat.completions.create(request);
    expect(again.choices[0]?.message.content).toBe(own.text);
  });

  it('stream the text that comes whole, with usage at the end', async () => {
    const request = { model, messages: [...messages], temperature: 0, max_tokens: 30 };
    const whole = await server.openai.chat.completions.create(request);
    const stream = await server.openai.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let reason: string | null = null;
    let usage: unknown = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(reason).toBe(whole.choices[0]?.finish_reason);
    expect(usage).toEqual(whole.usage);
  });

  it('give n choices, and the first is that of n = 1', async () => {
    const request = { model, messages: [...messages], temperature: 1, seed: 3, max_tokens: 20 };
    const four = await server.openai.chat.completions.create({ ...request, n: 4 });
    expect(four.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(new Set(four.choices.map(({ message }) => message.content)).size).toBeGreaterThan(1);
    const one = await server.openai.chat.completions.create(request);
    expect(one.choices[0]?.message.content).toBe(four.choices[0]?.message.content);
  });

  it('take an answer back as it came', async () => {
    const request = { model, temperature: 0, max_tokens: 10 };
    const first = await server.openai.chat.completions.create({ ...request, messages: [...messages] });
    const { message } = first.choices[0]!;
    const history = [...messages, message, { role: 'user' as const, content: 'And then?' }];
    const second = await server.openai.chat.completions.create({ ...request, messages: history });
    const own = await generate({
      model: server.chat,
      input: {
        messages: [
          messages[0],
          { role: 'assistant', content: message.content! },
          history[2] as (typeof messages)[0],
        ],
      },
      maxTokens: 10,
    });
    expect(second.choices[0]!.message.content).toBe(own.text);
  });

  it('report log-probabilities whose tokens spell the reply, streamed or not', async () => {
    const request = {
      model,
      messages: [...messages],
      temperature: 0,
      max_tokens: 8,
      logprobs: true,
      top_logprobs: 3,
    };
    const whole = await server.openai.chat.completions.create(request);
    const content = whole.choices[0]!.logprobs!.content!;
    expect(content.map(({ token }) => token).join('')).toBe(whole.choices[0]!.message.content);
    for (const { token, logprob, top_logprobs: top } of content) {
      expect(top).toHaveLength(3);
      // Greedy: the token is the likeliest.
      expect(top[0]).toMatchObject({ token, logprob });
      expect(logprob).toBeLessThanOrEqual(0);
    }
    const streamed: unknown[] = [];
    for await (const chunk of await server.openai.chat.completions.create({ ...request, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    expect(streamed).toEqual(content);
  });
});

describe('completions', () => {
  it('end at a stop string, and answer several prompts in order', async () => {
    const request = { ...story, temperature: 0 };
    const whole = await server.openai.completions.create(request);
    const text = whole.choices[0]!.text;
    const stop = text.slice(10, 14);
    const cut = await server.openai.completions.create({ ...request, stop: [stop] });
    expect(cut.choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
    const two = await server.openai.completions.create({ ...request, prompt: ['Tim', story.prompt], n: 2 });
    expect(two.choices.map((choice) => choice.text).slice(2)).toEqual([text, text]);
  });

  it('report log-probabilities in the older form, tokens with their blanks', async () => {
    const request = { ...story, temperature: 0, max_tokens: 12, logprobs: 2 };
    const whole = (await server.openai.completions.create(request)).choices[0]!;
    const { tokens, token_logprobs: chosen, top_logprobs: top, text_offset: offsets } = whole.logprobs!;
    expect(tokens!.join('').trimStart()).toBe(whole.text.trimStart());
    expect(tokens!.some((token) => token.startsWith(' '))).toBe(true);
    let at = 0;
    for (const [i, token] of tokens!.entries()) {
      expect(offsets![i]).toBe(at);
      expect(top![i]![token]).toBe(chosen![i]);
      at += token.length;
    }
    const streamed: string[] = [];
    for await (const chunk of await server.openai.completions.create({ ...request, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.tokens ?? []));
    expect(streamed).toEqual(tokens);
  });

  it('take thirty-two at once, each as alone', async () => {
    const requests = Array.from({ length: 32 }, (_, i) => ({ ...story, temperature: 1, seed: i }));
    const together = await Promise.all(requests.map((one) => server.openai.completions.create(one)));
    for (const i of [0, 13, 31]) {
      const alone = await server.openai.completions.create(requests[i]!);
      expect(together[i]!.choices[0]!.text).toBe(alone.choices[0]!.text);
    }
  });

  it('that are aborted free their places', async () => {
    const stream = await server.openai.completions.create({ ...story, max_tokens: 400, stream: true });
    for await (const _ of stream) {
      stream.controller.abort();
      break;
    }
    await expect.poll(() => replies(server), { timeout: 10_000 }).toBe(0);
    const after = await server.openai.completions.create({ ...story, temperature: 0 });
    expect(after.choices[0]!.text.length).toBeGreaterThan(0);
  });
});

/** What the metrics say is under way. */
async function replies({ url }: TestServer): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^persona_replies (\d+)$/m.exec(text)?.[1]);
}

describe('refusals', () => {
  it.each([
    [{ model: 'gpt-9', messages: [...messages] }, OpenAI.NotFoundError, /found no model "gpt-9"/],
    [{ model, messages: [] }, OpenAI.BadRequestError, /messages/],
    [{ model, messages: [...messages], max_tokens: 100_000 }, OpenAI.BadRequestError, /context/],
    [{ model, messages: [...messages], frequency_penalty: 1 }, OpenAI.BadRequestError, /frequency_penalty/],
    [{ model, messages: [...messages], top_logprobs: 2 }, OpenAI.BadRequestError, /"logprobs": true/],
    [
      { model: 'stories260K', messages: [...messages], tool_choice: 'auto' },
      OpenAI.BadRequestError,
      /tool_choice/,
    ],
  ] as const)('are those of the protocol: %j', async (request, type, sentence) => {
    const asked = server.openai.chat.completions.create(request as never);
    await expect(asked).rejects.toBeInstanceOf(type);
    await expect(asked).rejects.toThrow(sentence);
  });
});

describe('the persona field', () => {
  const steered = (coef: number) => ({
    ...story,
    temperature: 0,
    persona: { steer: [{ vector: 'mood', coef, layer: 3 }], watch: { vectors: ['mood'], tokens: true } },
  });
  const ask = async (body: object): Promise<unknown> => server.openai.completions.create(body as never);
  const choiceOf = (answer: unknown) =>
    (answer as { choices: { text: string; persona?: { projections: Projections } }[] }).choices[0]!;
  type Projections = Record<string, { layer: number; before: number; mean: number; tokens: number[] }>;

  it('steers and watches this request, and no other beside or after it', async () => {
    const plain = { ...story, temperature: 0 };
    const before = choiceOf(await ask(plain)).text;
    const alone = choiceOf(await ask(steered(3)));
    expect(alone.text).not.toBe(before);
    const mixed = await Promise.all([steered(3), plain, steered(-3), plain, steered(3)].map(ask));
    const texts = mixed.map((answer) => choiceOf(answer).text);
    expect(texts).toEqual([alone.text, before, choiceOf(await ask(steered(-3))).text, before, alone.text]);
    expect(choiceOf(await ask(plain)).text).toBe(before);
  });

  it('tells projections before the reply, of every token, and their mean', async () => {
    const watched = choiceOf(await ask(steered(0))).persona!.projections['mood']!;
    const { ids } = await generate({
      model: server.model,
      input: { prompt: story.prompt },
      maxTokens: 30,
    });
    expect(watched.layer).toBe(3);
    expect(watched.tokens).toHaveLength(ids.length);
    const mean = watched.tokens.reduce((sum, value) => sum + value, 0) / watched.tokens.length;
    expect(watched.mean).toBeCloseTo(mean, 10);
    const up = choiceOf(await ask(steered(3))).persona!.projections['mood']!;
    // Added at the watched layer from the last prompt token on.
    expect(up.before).toBeGreaterThan(watched.before);
  });

  it('comes with the last chunk of a stream', async () => {
    const whole = choiceOf(await ask(steered(2)));
    const stream = await server.openai.completions.create({ ...steered(2), stream: true } as never);
    let last: unknown = null;
    for await (const chunk of stream as unknown as AsyncIterable<{ choices: { persona?: unknown }[] }>)
      last = chunk.choices[0]?.persona ?? last;
    expect(last).toEqual(whole.persona);
  });

  it.each([
    [{ steer: [{ vector: 'moot', coef: 1 }] }, /found no vector "moot"; did you mean "mood"\?/],
    [{ steer: [{ vector: '../mood', coef: 1 }] }, /found no vector/],
    [{ steer: [{ vector: [1, 2, 3], layer: 1, coef: 1 }] }, /64/],
    [{ steer: { interventions: [], vectors: '/etc' } }, /expected no "vectors"/],
    [{ steer: [{ vector: 'mood', coeff: 1 }] }, /did you mean "coef"\?/],
    [{ watch: ['mood'], strength: 2 }, /strength/],
    [{ watch: { vectors: ['mood'], layer: 99 } }, /layer from 1 to 5/],
  ])('is refused with the reason: %j', async (persona, sentence) => {
    await expect(ask({ ...story, persona })).rejects.toThrow(sentence);
    await expect(ask({ ...story, persona })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });
});
