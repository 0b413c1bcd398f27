import type { GenerateInput } from '../apps/generate.ts';
import type { Generated, TokenLogprobs } from '../engine/types.ts';
import { requireTokenizer } from '../apps/messages.ts';
import type { Completion, CompletionChunk, CompletionLogprobs, CompletionRequest } from './api.ts';
import { replyPersona } from './persona.ts';
import { chunkPersona, finishOf, headOf, isSilent, noted, usageOf } from './reply-parts.ts';
import {
  planReplies,
  type RepliedTurn,
  type ReplyEvent,
  type ReplyForm,
  type ReplyPlan,
  type ReplyStream,
} from './replies.ts';
import { tokenTexts } from './token-text.ts';

/** Completions, the older form. */
export const completionForm: ReplyForm<CompletionRequest> = {
  count: (request) => toInputs(request.prompt).length * (request.n ?? 1),
  prompts: ({ prompt }) =>
    toInputs(prompt).map((one) => ({ messages: null, user: 'prompt' in one ? one.prompt : null })),
  plan: (request, settings) => {
    const wanted = { maxTokens: request.max_tokens, logprobs: request.logprobs ?? undefined };
    return planReplies(request, toInputs(request.prompt), wanted, settings);
  },
  whole: toCompletion,
  stream: (plan) => new CompletionStream(plan),
};

function toInputs(prompt: CompletionRequest['prompt']): GenerateInput[] {
  if (typeof prompt === 'string') return [{ prompt }];
  if (prompt.every((one) => typeof one === 'number')) return [{ ids: prompt }];
  return (prompt as (string | number[])[]).map((one) =>
    typeof one === 'string' ? { prompt: one } : { ids: one },
  );
}

function toCompletion(plan: ReplyPlan, results: readonly RepliedTurn[]): Completion {
  return {
    ...headOf(plan, 'cmpl'),
    object: 'text_completion',
    choices: results.map(({ result, turn }, index) => ({
      index,
      text: result.text ?? '',
      finish_reason: finishOf(result),
      logprobs: result.logprobs === undefined ? null : toLogprobs(plan, result.logprobs, 0),
      ...replyPersona(result, plan.persona, turn),
    })),
    usage: usageOf(
      plan,
      results.map(({ result }) => result),
    ),
    ...noted(plan),
  };
}

class CompletionStream implements ReplyStream {
  private readonly plan: ReplyPlan;
  private readonly head: Pick<CompletionChunk, 'id' | 'created' | 'model'>;
  /** Characters of the tokens that a choice has had. */
  private readonly offsets: number[];

  constructor(plan: ReplyPlan) {
    this.plan = plan;
    this.head = headOf(plan, 'cmpl');
    this.offsets = plan.rows.map(() => 0);
  }

  begin(): CompletionChunk[] {
    return [];
  }

  next(event: ReplyEvent): CompletionChunk[] {
    if ('result' in event) {
      const { index } = event.result;
      const finish_reason = finishOf(event.result);
      return [this.chunk({ index, text: '', finish_reason, ...chunkPersona(this.plan, event) })];
    }
    if (isSilent(this.plan, event)) return [];
    const { index, text } = event.token;
    return [this.chunk({ index, text, logprobs: this.logprobs(event), ...chunkPersona(this.plan, event) })];
  }

  usage(results: readonly Generated[]): CompletionChunk {
    return { ...this.head, object: 'text_completion', choices: [], usage: usageOf(this.plan, results) };
  }

  private logprobs({ token }: Extract<ReplyEvent, { token: unknown }>): CompletionLogprobs | null {
    const { id, index, logprob, top = [] } = token;
    if (logprob === undefined || id === null) return null;
    const logprobs = toLogprobs(this.plan, [{ id, logprob, top }], this.offsets[index]!);
    this.offsets[index]! += logprobs.tokens[0]!.length;
    return logprobs;
  }

  private chunk(
    choice: Pick<CompletionChunk['choices'][number], 'index' | 'text'> &
      Partial<CompletionChunk['choices'][number]>,
  ): CompletionChunk {
    const choices = [{ finish_reason: null, logprobs: null, ...choice }];
    return { ...this.head, object: 'text_completion', choices };
  }
}

/** @param offset characters of the tokens before these */
function toLogprobs(
  { served }: ReplyPlan,
  tokens: readonly TokenLogprobs[],
  offset: number,
): CompletionLogprobs {
  const textOf = tokenTexts(requireTokenizer(served.model.checkpoint, 'logprobs'));
  const texts = tokens.map(({ id }) => textOf(id));
  let at = offset;
  const offsets = texts.map((text) => {
    const start = at;
    at += text.length;
    return start;
  });
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ id, logprob }) => [textOf(id), logprob])),
    ),
    text_offset: offsets,
  };
}
