import type { ChatRequest, CompletionRequest, PersonaField } from '../../../src/server/client.ts';
import type { Settings } from './settings.ts';

/** A message of a conversation. */
export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** A request as it is sent: a chat, or for a model that knows no chats a text to go on from. */
export type ReplyRequest =
  | { readonly kind: 'chat'; readonly body: Omit<ChatRequest, 'stream'> }
  | { readonly kind: 'completion'; readonly body: Omit<CompletionRequest, 'stream'> };

interface RequestParts {
  readonly settings: Settings;
  /** Whether the model knows chats. */
  readonly chat: boolean;
  readonly messages: readonly Message[];
  readonly steer: Readonly<Record<string, number>>;
  readonly watch: readonly string[];
  readonly seed: number;
}

/** The request of one reply. */
export function makeRequest({ settings, chat, messages, steer, watch, seed }: RequestParts): ReplyRequest {
  const { model, temperature, maxTokens, system } = settings;
  const persona = personaOf(settings, steer, watch);
  const common = { model, max_tokens: maxTokens, temperature, seed, ...(persona && { persona }) };
  if (!chat) return { kind: 'completion', body: { ...common, prompt: messages.at(-1)?.content ?? '' } };
  const before: Message[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  return { kind: 'chat', body: { ...common, messages: [...before, ...messages] } };
}

function personaOf(
  { layer, positions }: Settings,
  steer: Readonly<Record<string, number>>,
  watch: readonly string[],
): PersonaField | null {
  const place = { ...(layer !== null && { layer }), ...(positions !== '' && { positions }) };
  const entries = Object.entries(steer).map(([vector, coef]) => ({ vector, coef, ...place }));
  const persona = {
    ...(entries.length > 0 && { steer: entries }),
    ...(watch.length > 0 && {
      watch: { vectors: [...watch], ...(layer !== null && { layer }), tokens: true },
    }),
  };
  return Object.keys(persona).length === 0 ? null : persona;
}

/** A command that asks for the same reply; `keyed` where the server wants a key, which it takes from the environment. */
export function toCurl({ kind, body }: ReplyRequest, url: string, keyed: boolean): string {
  const path = kind === 'chat' ? '/v1/chat/completions' : '/v1/completions';
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const lines = [
    `curl -s ${url}${path}`,
    `-H 'content-type: application/json'`,
    ...(keyed ? ['-H "authorization: Bearer $PERSONA_API_KEY"'] : []),
    `-d '${json}'`,
  ];
  return lines.join(' \\\n  ');
}

/** A program that asks for the same reply. */
export function toTypeScript({ kind, body }: ReplyRequest, url: string, keyed: boolean): string {
  const key = keyed ? ", apiKey: process.env['PERSONA_API_KEY'] ?? ''" : '';
  const text = kind === 'chat' ? 'message.content' : 'text';
  return `import { PersonaClient } from 'persona-vectors/client';

const client = new PersonaClient({ url: '${url}'${key} });
const { choices } = await client.${kind === 'chat' ? 'chat' : 'complete'}(${JSON.stringify(body, null, 2)});
console.log(choices[0]?.${text});
console.log(choices[0]?.persona?.projections);
`;
}
