import type { LanguageModel } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { defined } from '../../util/defined.ts';
import { encodeMessages } from '../prompt.ts';
import type { ChatProvider } from './chat-provider.ts';

/** A model on this machine as a provider of text; closing it closes the model. UsageError for a base model. */
export function localProvider(id: string, model: LanguageModel): ChatProvider {
  const { checkpoint } = model;
  if (checkpoint.chatTemplate === null) {
    throw new UsageError(
      `Expected a model that can hold a conversation, got "${checkpoint.id}", which has no chat template; choose an instruction-tuned model.`,
      { details: { model: checkpoint.id } },
    );
  }
  return {
    id,
    // What is asked for log-probabilities is scored exactly instead; see the local judge.
    givesLogprobs: false,
    async complete({ turns, maxTokens, temperature, seed = 0 }, signal) {
      const { ids } = encodeMessages(checkpoint, turns);
      const room = Math.min(maxTokens, checkpoint.config.maxPositions - ids.length);
      const options = { maxTokens: Math.max(1, room), temperature, seed, ...defined({ signal }) };
      for await (const { text, finishReason } of model.generate([{ ids }], options)) {
        return {
          text: text ?? '',
          finish: finishReason === 'stop' ? 'stop' : 'length',
          firstTokens: null,
        };
      }
      throw new UsageError(`Expected an answer of ${id}, got none.`);
    },
    close: () => model.close(),
  };
}
