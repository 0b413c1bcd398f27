import { z } from 'zod';
import { UsageError } from '../../errors.ts';
import { describeIssues } from '../../store/schema.ts';
import type { ApiClient } from '../../util/http/api-client.ts';
import type { ChatProvider, ChatReply, ChatRequest } from './chat-provider.ts';

export interface AnthropicOptions {
  readonly id: string;
  readonly model: string;
  readonly client: ApiClient;
}

/** The version of the protocol that is spoken here. */
export const ANTHROPIC_VERSION = '2023-06-01';

const replySchema = z.object({
  stop_reason: z.string().nullish(),
  content: z.array(
    z.object({ type: z.string(), text: z.string().optional(), input: z.unknown().optional() }),
  ),
});

/** Anthropic's messages. They come without log-probabilities. */
export function anthropicMessages({ id, model, client }: AnthropicOptions): ChatProvider {
  return {
    id,
    givesLogprobs: false,
    complete: async (request, signal) =>
      readReply(await client.post('messages', requestBody(request, model), signal), id),
    close: () => Promise.resolve(),
  };
}

/** Structured answers are what a tool is called with, and the model is told to call that tool. */
function requestBody(
  { turns, maxTokens, temperature, schema }: ChatRequest,
  model: string,
): Record<string, unknown> {
  return {
    model,
    max_tokens: maxTokens,
    temperature,
    messages: turns,
    ...(schema === undefined
      ? {}
      : {
          tools: [{ name: schema.name, description: 'Hands the answer in.', input_schema: schema.schema }],
          tool_choice: { type: 'tool', name: schema.name },
        }),
  };
}

function readReply(value: unknown, id: string): ChatReply {
  const parsed = replySchema.safeParse(value);
  if (!parsed.success) {
    throw new UsageError(
      `Expected an answer of ${id} in the shape of Anthropic's messages, got another: ${describeIssues(parsed.error)}; a proxy may have changed it.`,
      { details: { provider: id } },
    );
  }
  const { stop_reason: reason, content } = parsed.data;
  const called = content.find(({ type }) => type === 'tool_use');
  const said = content.map(({ type, text }) => (type === 'text' ? (text ?? '') : '')).join('');
  return {
    text: called === undefined ? said : JSON.stringify(called.input ?? null),
    finish: reason === 'refusal' ? 'refused' : reason === 'max_tokens' ? 'length' : 'stop',
    firstTokens: null,
  };
}
