import type { ChatChunk, CompletionChunk, PersonaClient } from '../../../src/server/client.ts';
import type { Token } from '../parts/token-text.tsx';
import type { ReplyRequest } from './request.ts';

/** A reply as far as it has come. */
export interface Reply {
  readonly request: ReplyRequest;
  readonly state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  readonly tokens: readonly Token[];
  /** Projections at the last token of the prompt. */
  readonly before: Readonly<Record<string, number>> | null;
  /** Mean projections over the reply, when it has ended. */
  readonly means: Readonly<Record<string, number | null>>;
  readonly finish: 'stop' | 'length' | null;
  readonly notes: readonly string[];
  readonly error: unknown;
}

/** A reply that was asked for. */
export function newReply(request: ReplyRequest): Reply {
  const nothing = { tokens: [], before: null, means: {}, finish: null, notes: [], error: null };
  return { request, state: 'waiting', ...nothing };
}

/** What has been said. */
export function textOf({ tokens }: Reply): string {
  return tokens.map(({ text }) => text).join('');
}

type Choice = ChatChunk['choices'][number] | CompletionChunk['choices'][number];

/** A reply with one more chunk of its stream. */
export function withChunk(reply: Reply, choice: Choice): Reply {
  const text = 'text' in choice ? choice.text : (choice.delta.content ?? '');
  const { drawn_from: drawnFrom, projections, notes } = choice.persona ?? {};
  let next: Reply = { ...reply, state: 'streaming' };
  // A token's own projections come with the token after it, which is drawn from its state.
  if (drawnFrom !== undefined) {
    next =
      next.tokens.length === 0
        ? { ...next, before: drawnFrom }
        : { ...next, tokens: withValues(next.tokens, drawnFrom) };
    next = { ...next, tokens: [...next.tokens, { text, values: null }] };
  } else if (text !== '') next = { ...next, tokens: [...next.tokens, { text, values: null }] };
  if (projections !== undefined) next = withProjections(next, projections);
  if (notes !== undefined) next = { ...next, notes };
  return choice.finish_reason === null ? next : { ...next, state: 'done', finish: choice.finish_reason };
}

function withValues(tokens: readonly Token[], values: Readonly<Record<string, number>>): Token[] {
  return [...tokens.slice(0, -1), { text: tokens.at(-1)!.text, values }];
}

type Projections = NonNullable<NonNullable<Choice['persona']>['projections']>;

/** The end of a stream has all tokens' projections again, the last one's among them. */
function withProjections(reply: Reply, projections: Projections): Reply {
  const found = Object.entries(projections);
  const means = Object.fromEntries(found.map(([name, { mean }]) => [name, mean]));
  const last = reply.tokens.length - 1;
  const values = found.flatMap(([name, { tokens }]): [string, number][] => {
    const value = tokens?.[last];
    return value === undefined ? [] : [[name, value]];
  });
  const tokens = values.length > 0 ? withValues(reply.tokens, Object.fromEntries(values)) : reply.tokens;
  return { ...reply, means, tokens };
}

/** Milliseconds between two pictures of a reply that is being said. */
const pace = 33;

/** Has a reply said, and tells it whenever more of it has come. Never throws: what goes wrong is in the reply. */
export async function stream(
  client: PersonaClient,
  request: ReplyRequest,
  signal: AbortSignal,
  onChange: (reply: Reply) => void,
): Promise<void> {
  let reply = newReply(request);
  let told = 0;
  const chunks =
    request.kind === 'chat'
      ? client.streamChat(request.body, signal)
      : client.streamCompletion(request.body, signal);
  try {
    for await (const chunk of chunks) {
      const choice = chunk.choices[0];
      if (choice === undefined) continue;
      reply = withChunk(reply, choice);
      if (performance.now() - told < pace) continue;
      told = performance.now();
      onChange(reply);
    }
  } catch (error) {
    reply = signal.aborted ? { ...reply, state: 'stopped' } : { ...reply, state: 'failed', error };
  }
  onChange(reply);
}
