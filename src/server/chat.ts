import type { Generated, TokenLogprobs } from '../engine/types.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import { requireTokenizer } from '../apps/messages.ts';
import type { ChatChunk, ChatCompletion, ChatLogprobs, ChatRequest, TokenLogprob } from './api.ts';
import { HttpFailure } from './failure.ts';
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
import type { ServerSettings } from './settings.ts';
import { tokenTexts } from './token-text.ts';

/** Chat completions. */
export const chatForm: ReplyForm<ChatRequest> = {
  count: (request) => request.n ?? 1,
  prompts: ({ messages }) => {
    const plain = toMessages(messages);
    const user = plain.findLast(({ role }) => role === 'user')?.content ?? null;
    return [{ messages: plain, user }];
  },
  plan: planChat,
  whole: toChatCompletion,
  stream: (plan) => new ChatStream(plan),
};

async function planChat(request: ChatRequest, settings: ServerSettings): Promise<ReplyPlan> {
  if (request.top_logprobs != null && request.logprobs !== true)
    throw new HttpFailure(400, 'expected "logprobs": true beside "top_logprobs"', { param: 'top_logprobs' });
  const logprobs = request.logprobs === true ? (request.top_logprobs ?? 0) : undefined;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const inputs = [{ messages: toMessages(request.messages) }];
  return planReplies(request, inputs, { maxTokens, logprobs }, settings);
}

/** Messages as templates know them: text in one piece, and what newer clients call a developer as the system. */
export function toMessages(messages: ChatRequest['messages']): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  }));
}

function toChatCompletion(plan: ReplyPlan, results: readonly RepliedTurn[]): ChatCompletion {
  return {
    ...headOf(plan, 'chatcmpl'),
    object: 'chat.completion',
    choices: results.map(({ result, turn }, index) => ({
      index,
      message: { role: 'assistant', content: result.text ?? '', refusal: null },
      finish_reason: finishOf(result),
      logprobs: result.logprobs === undefined ? null : toLogprobs(plan, result.logprobs),
      ...replyPersona(result, plan.persona, turn),
    })),
    usage: usageOf(
      plan,
      results.map(({ result }) => result),
    ),
    ...noted(plan),
  };
}

class ChatStream implements ReplyStream {
  private readonly plan: ReplyPlan;
  private readonly head: Pick<ChatChunk, 'id' | 'created' | 'model'>;

  constructor(plan: ReplyPlan) {
    this.plan = plan;
    this.head = headOf(plan, 'chatcmpl');
  }

  begin(): ChatChunk[] {
    return this.plan.rows.map((_, index) => this.chunk({ index, delta: { role: 'assistant', content: '' } }));
  }

  next(event: ReplyEvent): ChatChunk[] {
    if ('result' in event) {
      const { index } = event.result;
      const finish_reason = finishOf(event.result);
      return [this.chunk({ index, delta: {}, finish_reason, ...chunkPersona(this.plan, event) })];
    }
    if (isSilent(this.plan, event)) return [];
    const { id, index, text, logprob, top = [] } = event.token;
    const logprobs =
      logprob === undefined || id === null ? null : toLogprobs(this.plan, [{ id, logprob, top }]);
    return [this.chunk({ index, delta: { content: text }, logprobs, ...chunkPersona(this.plan, event) })];
  }

  usage(results: readonly Generated[]): ChatChunk {
    const base = { ...this.head, object: 'chat.completion.chunk' as const, choices: [] };
    return { ...base, usage: usageOf(this.plan, results) };
  }

  private chunk(
    choice: Pick<ChatChunk['choices'][number], 'index' | 'delta'> & Partial<ChatChunk['choices'][number]>,
  ): ChatChunk {
    const choices = [{ finish_reason: null, logprobs: null, ...choice }];
    return { ...this.head, object: 'chat.completion.chunk', choices };
  }
}

function toLogprobs({ served }: ReplyPlan, tokens: readonly TokenLogprobs[]): ChatLogprobs {
  const textOf = tokenTexts(requireTokenizer(served.model.checkpoint, 'logprobs'));
  const describe = (id: number, logprob: number): TokenLogprob => {
    const token = textOf(id);
    // Part of a character has no text of its own.
    return { token, logprob, bytes: token.includes('\u{FFFD}') ? null : [...Buffer.from(token)] };
  };
  const content = tokens.map(({ id, logprob, top }) => ({
    ...describe(id, logprob),
    top_logprobs: top.map((one) => describe(one.id, one.logprob)),
  }));
  return { content, refusal: null };
}
