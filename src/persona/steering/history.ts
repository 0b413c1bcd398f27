import type { GenerateRow } from '../../engine/types.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import type { ChatOptions } from '../../model/chat.ts';
import { encodeConversationRow } from '../projection/rows.ts';
import type { PromptParts } from '../prompt.ts';

/**
 * A conversation up to its next reply, with its earlier replies marked as steered: they are then read as in a cache that is
 * kept from turn to turn.
 *
 * @throws what `encodeConversationRow` throws.
 */
export function steeredHistory(
  parts: PromptParts,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): Pick<GenerateRow, 'ids' | 'steeredReplies'> {
  const { ids, turns } = encodeConversationRow(parts, messages, options);
  return {
    ids,
    steeredReplies: turns.filter(({ pending }) => !pending).map(({ start, end }) => ({ start, end })),
  };
}
