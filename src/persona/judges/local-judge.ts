import { UsageError } from '../../errors.ts';
import type { LanguageModel } from '../../engine/model.ts';
import type { ContinuationsRow } from '../../engine/types.ts';
import { encodeReply } from '../../model/chat.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { inChunks } from '../../util/chunks.ts';
import { defined } from '../../util/defined.ts';
import {
  type JudgeItem,
  type JudgeItems,
  type JudgeOptions,
  type JudgeProvider,
  type JudgeSource,
  type Judgement,
  noCost,
} from '../judge.ts';
import { encodeMessages, requireTokenizer } from '../prompt.ts';
import type { Trait } from '../trait.ts';
import { type JudgeAnswer, type Metric, metrics, scoresOf } from './answer.ts';
import { fillPrompt, judgeHash, judgePromptsOf } from './judge-prompts.ts';

export interface LocalJudgeOptions {
  readonly model: LanguageModel;
  /** Whether closing the judge closes the model. */
  readonly owned: boolean;
}

/** Items scored together: enough for common batches, few enough that a kill costs little. */
const CHUNK = 16;
/** Decimals that log-probabilities are kept with, and scores computed from. */
const DECIMALS = 1e6;
const NUMBERS = 101;

/**
 * Judges that are a model on this machine. Its answer is not sampled: each of "0" … "100" is scored as the whole answer, that
 * is with the end of the turn behind it, so the distribution is exact however the tokenizer cuts numbers.
 *
 * @throws UsageError for a model that cannot hold a conversation or end a turn.
 */
export async function localJudges(name: string, { model, owned }: LocalJudgeOptions): Promise<JudgeSource> {
  const { checkpoint, precision } = model;
  if (checkpoint.chatTemplate === null || checkpoint.generation.eosTokenIds.length === 0) {
    throw new UsageError(
      `Expected a judge that can hold a conversation, got "${checkpoint.id}", which has no ${checkpoint.chatTemplate === null ? 'chat template' : 'token that ends a turn'}; choose an instruction-tuned model.`,
      { details: { model: checkpoint.id } },
    );
  }
  const numbers = numberAnswers(model);
  const fingerprint = (await checkpointFingerprint(checkpoint)).slice(0, 16);
  return {
    name,
    forTrait: (trait) => {
      const id = `local:${checkpoint.id}@${fingerprint}/${precision}`;
      return localJudge(trait, id, model, numbers);
    },
    close: () => (owned ? model.close() : Promise.resolve()),
  };
}

function localJudge(
  trait: Trait,
  id: string,
  model: LanguageModel,
  numbers: readonly (readonly number[])[],
): JudgeProvider {
  const prompts = judgePromptsOf(trait);
  const { chatTemplate } = model.checkpoint;
  const rowOf = (metric: Metric, item: JudgeItem): ContinuationsRow => {
    const content = fillPrompt(prompts[metric], item);
    const { ids } = encodeMessages(model.checkpoint, [{ role: 'user', content }]);
    return { ids, continuations: numbers };
  };
  return {
    id: `${id}/numbers:${judgeHash(prompts, chatTemplate?.source)}`,
    beside: false,
    async *judge(items: JudgeItems, { signal }: JudgeOptions = {}): AsyncGenerator<Judgement> {
      let first = 0;
      for await (const chunk of inChunks(items, CHUNK)) {
        // One metric after the other: prompts that begin alike stand side by side.
        const rows = metrics.flatMap((metric) => chunk.map((item) => rowOf(metric, item)));
        const answers = await scoreNumbers(model, rows, signal);
        for (const index of chunk.keys()) {
          const [trait, coherence] = [answers[index]!, answers[chunk.length + index]!];
          yield { index: first + index, scores: scoresOf({ trait, coherence }) };
        }
        first += chunk.length;
      }
    },
    estimate: () => noCost,
  };
}

/** Ids of "0" … "100", each once for every token that may end the turn. */
function numberAnswers({ checkpoint }: LanguageModel): number[][] {
  const tokenizer = requireTokenizer(checkpoint);
  const ends = checkpoint.generation.eosTokenIds;
  return Array.from({ length: NUMBERS }, (_, number) => encodeReply(tokenizer, String(number))).flatMap(
    (ids) => ends.map((end) => [...ids, end]),
  );
}

async function scoreNumbers(
  model: LanguageModel,
  rows: readonly ContinuationsRow[],
  signal: AbortSignal | undefined,
): Promise<JudgeAnswer[]> {
  const ends = model.checkpoint.generation.eosTokenIds.length;
  const answers: JudgeAnswer[] = [];
  for await (const { index, logprobs } of model.scoreContinuations(rows, defined({ signal }))) {
    const numbers = Array.from({ length: NUMBERS }, (_, number) =>
      rounded(logSum(logprobs.subarray(number * ends, (number + 1) * ends))),
    );
    answers[index] = { kind: 'numbers', logprobs: numbers };
  }
  return answers;
}

/** log Σ exp: the number is the answer whichever token ends the turn. */
function logSum(logprobs: Float64Array): number {
  const largest = Math.max(...logprobs);
  return largest + Math.log(logprobs.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

function rounded(logprob: number): number {
  return Math.min(0, Math.round(logprob * DECIMALS) / DECIMALS);
}
