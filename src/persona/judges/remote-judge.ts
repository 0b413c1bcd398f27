import { AbortError, UsageError } from '../../errors.ts';
import type { AnswerCache } from '../../store/answer-cache.ts';
import { sha256 } from '../../util/hash.ts';
import { mapConcurrently } from '../../util/map-concurrently.ts';
import type { JudgeCost, JudgeItem, JudgeLoad, JudgeProvider, JudgeSource } from '../judge.ts';
import type { ChatProvider, ChatReply, ChatRequest } from '../providers/chat-provider.ts';
import type { Trait } from '../trait.ts';
import { type JudgeAnswer, type Metric, answerSchema, metrics, scoresOf } from './answer.ts';
import { type JudgePrompts, fillPrompt, judgeHash, judgePromptsOf } from './judge-prompts.ts';

export interface RemoteJudgeOptions {
  readonly provider: ChatProvider;
  readonly cache: AnswerCache;
  /** Answers that are sampled for each metric instead of reading log-probabilities; 0 reads them. */
  readonly samples: number;
  /** Replies in work at once. */
  readonly concurrency: number;
}

/** As the paper's code asks. */
const TOP_LOGPROBS = 20;
const SEED = 0;
/** A number, or a word of refusal. */
const SAMPLE_TOKENS = 16;
/** English text has about four characters a token. */
const CHARACTERS_PER_TOKEN = 4;

/** Judges that are language models elsewhere, asked once for each metric: for the most likely first tokens, or for samples. */
export function remoteJudges(options: RemoteJudgeOptions): JudgeSource {
  const { provider, cache, samples } = options;
  if (samples === 0 && !provider.givesLogprobs) throw noLogprobs(provider.id);
  return {
    name: provider.id,
    forTrait: (trait) => remoteJudge(trait, options),
    close: async () => {
      await cache.close();
      await provider.close();
    },
  };
}

function remoteJudge(trait: Trait, options: RemoteJudgeOptions): JudgeProvider {
  const { provider, samples, concurrency } = options;
  const prompts = judgePromptsOf(trait);
  const way = samples === 0 ? `top${TOP_LOGPROBS}` : `samples${samples}`;
  return {
    id: `${provider.id}/${way}:${judgeHash(prompts, way)}`,
    beside: true,
    judge: (items, { signal } = {}) => {
      const work = async (item: JudgeItem, index: number, ending: AbortSignal) => {
        const ask = (metric: Metric): Promise<JudgeAnswer> =>
          askMetric(fillPrompt(prompts[metric], item), options, ending);
        // Both are waited for in any case: an answer on its way is paid for, and kept.
        const answers = await Promise.allSettled(metrics.map(ask));
        const [trait, coherence] = answers.map(valueOrThrow) as [JudgeAnswer, JudgeAnswer];
        return { index, scores: scoresOf({ trait, coherence }) };
      };
      return mapConcurrently(items, work, { limit: concurrency, signal, stopped });
    },
    estimate: (load) => estimate(prompts, load, samples),
  };
}

async function askMetric(
  prompt: string,
  { provider, cache, samples }: RemoteJudgeOptions,
  signal: AbortSignal,
): Promise<JudgeAnswer> {
  const turns = [{ role: 'user', content: prompt }] as const;
  const ask = async (request: ChatRequest, draw: number): Promise<JudgeAnswer> => {
    const key = sha256(JSON.stringify([request, draw]));
    const known = answerSchema.safeParse(cache.get(key));
    if (known.success) return known.data;
    const answer = toAnswer(await provider.complete(request, signal), provider.id, samples > 0);
    await cache.put(key, answer);
    return answer;
  };
  if (samples === 0) {
    return ask({ turns, maxTokens: 1, temperature: 0, topLogprobs: TOP_LOGPROBS, seed: SEED }, 0);
  }
  const texts: string[] = [];
  for (let draw = 0; draw < samples; draw++) {
    const answer = await ask({ turns, maxTokens: SAMPLE_TOKENS, temperature: 1 }, draw);
    // A refusal is a sample without a number.
    texts.push(answer.kind === 'samples' ? (answer.texts[0] ?? '') : '');
  }
  return { kind: 'samples', texts };
}

function toAnswer({ text, finish, firstTokens }: ChatReply, id: string, sampled: boolean): JudgeAnswer {
  if (finish === 'refused') return { kind: 'refused', reason: 'the provider refused' };
  if (sampled) return { kind: 'samples', texts: [text] };
  if (firstTokens === null) throw noLogprobs(id);
  return { kind: 'tokens', tokens: firstTokens.map(([token, logprob]) => [token, logprob]) };
}

function estimate(prompts: JudgePrompts, load: JudgeLoad, samples: number): JudgeCost {
  const times = Math.max(1, samples);
  const calls = metrics.length * load.replies * times;
  const characters = prompts.trait.length + prompts.coherence.length;
  // The question is some twenty tokens, which the slots' own names nearly make up for.
  const inputTokens = times * load.replies * (characters / CHARACTERS_PER_TOKEN + 2 * load.replyTokens);
  return {
    calls,
    inputTokens: Math.ceil(inputTokens),
    outputTokens: samples === 0 ? calls : calls * SAMPLE_TOKENS,
  };
}

function valueOrThrow<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'fulfilled') return result.value;
  throw result.reason;
}

function stopped(): AbortError {
  return new AbortError('Stopped while replies were judged; the answers that came are kept.');
}

function noLogprobs(id: string): UsageError {
  return new UsageError(
    `Expected log-probabilities from ${id}, which the score is computed from, got none; choose a model that gives them (reasoning models do not), or sample its answers with --judge-samples 5.`,
    { details: { provider: id } },
  );
}
