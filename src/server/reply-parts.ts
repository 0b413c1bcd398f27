/** What both of the protocol's forms have in common. */

import { randomUUID } from 'node:crypto';
import type { Generated } from '../engine/types.ts';
import type { ChatCompletion, ChunkPersona } from './api.ts';
import { replyPersona } from './persona.ts';
import type { ReplyEvent, ReplyPlan } from './replies.ts';

export function headOf(
  plan: ReplyPlan,
  kind: 'chatcmpl' | 'cmpl',
): { id: string; created: number; model: string } {
  return { id: `${kind}-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: plan.served.id };
}

export function finishOf({ finishReason }: Generated): 'stop' | 'length' {
  return finishReason === 'stop' ? 'stop' : 'length';
}

export function usageOf(plan: ReplyPlan, results: readonly Generated[]): ChatCompletion['usage'] {
  const completion = results.reduce((sum, { ids }) => sum + ids.length, 0);
  const prompt = plan.promptTokens;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** What a user should know of the steering, where there is anything. */
export function noted({ persona }: ReplyPlan): { persona?: { notes: string[] } } {
  return persona.notes.length === 0 ? {} : { persona: { notes: [...persona.notes] } };
}

/** Whether a token lets nothing through that a client has asked for. */
export function isSilent({ persona }: ReplyPlan, event: Extract<ReplyEvent, { token: unknown }>): boolean {
  const { text, logprob, projections } = event.token;
  return text === '' && logprob === undefined && !(persona.tokens && projections !== undefined);
}

/** A chunk's share of the projections; the last one of a choice has the notes too. */
export function chunkPersona(plan: ReplyPlan, event: ReplyEvent): { persona?: ChunkPersona } {
  const { watched, tokens } = plan.persona;
  if ('result' in event) {
    const { persona: said } = replyPersona(event.result, plan.persona, event.turn);
    const persona = { ...said, ...noted(plan).persona };
    return Object.keys(persona).length === 0 ? {} : { persona };
  }
  const { projections } = event.token;
  if (!tokens || projections === undefined) return {};
  const values = watched.map(({ name }, i): [string, number] => [name, projections[i]!]);
  return { persona: { drawn_from: Object.fromEntries(values) } };
}
