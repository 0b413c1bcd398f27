import { z } from 'zod';
import { UsageError } from '../../errors.ts';
import { describeIssues } from '../../store/schema.ts';
import { type ApiClient, ApiRefusal } from '../../util/http/api-client.ts';
import type { ChatProvider, ChatReply, ChatRequest } from './chat-provider.ts';

export interface OpenAiOptions {
  readonly id: string;
  readonly model: string;
  readonly client: ApiClient;
  /** OpenAI itself, which has renamed some fields that other servers know by their old names. */
  readonly official: boolean;
}

const tokenSchema = z.object({ token: z.string(), logprob: z.number() });
const replySchema = z.object({
  choices: z
    .array(
      z.object({
        finish_reason: z.string().nullish(),
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
        logprobs: z
          .object({
            content: z.array(z.object({ top_logprobs: z.array(tokenSchema) })).nullish(),
          })
          .nullish(),
      }),
    )
    .min(1),
});

/** What a filter of the provider's says instead of answering. */
const FILTERED = 'content_filter';
/** Tokens that a reasoning model may think before its answer. */
const THINKING_TOKENS = 8192;

/** OpenAI's chat completions, and every server that speaks like them. */
export function openAiChat({ id, model, client, official }: OpenAiOptions): ChatProvider {
  const reasons = official && isReasoningModel(model);
  return {
    id,
    givesLogprobs: !reasons,
    async complete(request, signal) {
      const body = requestBody(request, { model, official, reasons });
      try {
        return readReply(await client.post('chat/completions', body, signal), id);
      } catch (error) {
        if (!(error instanceof ApiRefusal)) throw error;
        if (error.details['code'] === FILTERED) return { text: '', finish: 'refused', firstTokens: null };
        // Small servers may not know about schemas; the prompt says the same in words.
        if (official || request.schema === undefined || !isUnknownField(error)) throw error;
        const { response_format: _, ...plain } = body;
        return readReply(await client.post('chat/completions', plain, signal), id);
      }
    },
    close: () => Promise.resolve(),
  };
}

/** Models that always think first, and take neither a temperature nor a request for log-probabilities. */
function isReasoningModel(model: string): boolean {
  return /^(?:o[134]|gpt-5)(?:-(?:mini|nano|pro|preview|\d{4}-\d{2}-\d{2}))*$/.test(model);
}

function requestBody(
  { turns, maxTokens, temperature, topLogprobs, seed, schema }: ChatRequest,
  { model, official, reasons }: { model: string; official: boolean; reasons: boolean },
): Record<string, unknown> {
  return {
    model,
    messages: turns,
    ...(official
      ? { max_completion_tokens: reasons ? maxTokens + THINKING_TOKENS : maxTokens }
      : { max_tokens: maxTokens }),
    ...(reasons ? {} : { temperature }),
    ...(topLogprobs === undefined ? {} : { logprobs: true, top_logprobs: topLogprobs }),
    ...(seed === undefined ? {} : { seed }),
    ...(schema === undefined
      ? {}
      : { response_format: { type: 'json_schema', json_schema: { ...schema, strict: true } } }),
  };
}

function readReply(value: unknown, id: string): ChatReply {
  const parsed = replySchema.safeParse(value);
  if (!parsed.success) {
    throw new UsageError(
      `Expected an answer of ${id} in the shape of OpenAI's chat completions, got another: ${describeIssues(parsed.error)}; check the address, which usually ends in /v1.`,
      { details: { provider: id } },
    );
  }
  const { finish_reason: reason, message, logprobs } = parsed.data.choices[0]!;
  const content = logprobs?.content ?? null;
  const first = content === null ? null : (content[0]?.top_logprobs ?? []);
  const refused = reason === FILTERED || (message.refusal ?? '') !== '';
  return {
    text: message.content ?? '',
    finish: refused ? 'refused' : reason === 'length' ? 'length' : 'stop',
    firstTokens: first?.map(({ token, logprob }) => [token, Math.min(0, logprob)] as const) ?? null,
  };
}

function isUnknownField({ details }: ApiRefusal): boolean {
  return details['status'] === 400 || details['status'] === 422;
}
