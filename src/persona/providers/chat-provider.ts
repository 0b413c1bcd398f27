/** A turn of a conversation with a provider. */
export interface ChatTurn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** A JSON schema that an answer is to follow. */
export interface AnswerSchema {
  /** Letters, digits, `_` and `-`. */
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

export interface ChatRequest {
  readonly turns: readonly ChatTurn[];
  readonly maxTokens: number;
  readonly temperature: number;
  /** Also the most likely first tokens, at most so many. */
  readonly topLogprobs?: number;
  /** For providers that take one. */
  readonly seed?: number;
  /** Asks for JSON of this shape; whoever gets the answer still has to check it. */
  readonly schema?: AnswerSchema;
}

export interface ChatReply {
  readonly text: string;
  /** `length`: cut off at the limit; `refused`: the provider would not answer. */
  readonly finish: 'stop' | 'length' | 'refused';
  /** The most likely first tokens with their natural log-probabilities; null where the provider sent none. */
  readonly firstTokens: readonly (readonly [string, number])[] | null;
}

/** A language model that answers, here or elsewhere. */
export interface ChatProvider {
  /** As it was asked for, such as `openai:gpt-4.1-mini`; never holds a key. */
  readonly id: string;
  /** Whether it can send log-probabilities. */
  readonly givesLogprobs: boolean;
  /**
   * @throws UsageError where the provider refuses the request, or fails again and again; AbortError when stopped.
   */
  complete(request: ChatRequest, signal?: AbortSignal): Promise<ChatReply>;
  close(): Promise<void>;
}
