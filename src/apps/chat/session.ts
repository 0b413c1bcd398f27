import type { LanguageModel } from '../../engine/model.ts';
import type { Intervention, TokenEvent } from '../../engine/types.ts';
import { DataError, UsageError } from '../../errors.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import { requireChat } from '../../model/chat.ts';
import { encodeMessages, thinkingOff } from '../../persona/prompt.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import { steeredHistory } from '../../persona/steering/history.ts';
import { resolveSteering, type ResolvedSteering } from '../../persona/steering/resolve.ts';
import { crossTraitReport, type CrossTrait } from '../../persona/steering/cross-trait.ts';
import type { SteeringEntry, SteeringSpec } from '../../persona/steering/spec.ts';
import type { Baseline } from '../../store/baseline-file.ts';

export interface ChatSettings {
  readonly model: LanguageModel;
  /** Read before and during every reply. */
  readonly watched: readonly Watched[];
  /** Where `/steer NAME` finds vectors. */
  readonly vectors?: string | undefined;
  readonly baseline?: Baseline | undefined;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

/** A reply, with what was read of the model's state. */
export interface ChatReply {
  readonly text: string;
  /** `[watched]`, at the last prompt token. */
  readonly before: readonly number[];
  /** `[watched]`, mean over the reply; null for an empty one. */
  readonly mean: readonly number[] | null;
  readonly finishReason: string;
}

/** What is told while a reply comes: text, and the running mean of the projections, `[watched]`. */
export type OnReply = (text: string, before: readonly number[], mean: readonly number[] | null) => void;

/**
 * A conversation that goes on: messages, a system prompt, and what the model is steered by. Knows no terminal. Every reply
 * is generated from the whole conversation, so earlier ones are read as the spec's `history` says.
 */
export class ChatSession {
  readonly settings: ChatSettings;
  system: string | null = null;
  private readonly turns: ChatMessage[] = [];
  private entries: SteeringEntry[] = [];
  private resolved: ResolvedSteering | null = null;
  private history: 'clean' | 'steered' = 'clean';

  /** @throws ModelError for a model without a chat template. */
  constructor(settings: ChatSettings) {
    requireChat(settings.model.checkpoint);
    this.settings = settings;
  }

  get messages(): readonly ChatMessage[] {
    return this.system === null ? this.turns : [{ role: 'system', content: this.system }, ...this.turns];
  }

  get steering(): readonly SteeringEntry[] {
    return this.entries;
  }

  /** Takes over a whole spec. */
  async steerBy(spec: SteeringSpec): Promise<ResolvedSteering> {
    this.history = spec.history ?? 'clean';
    return this.setEntries([...spec.interventions]);
  }

  /** Adds an entry, in place of one of the same vector and kind; a strength of 0 takes it away. */
  async steer(entry: SteeringEntry): Promise<ResolvedSteering> {
    const kind = (one: SteeringEntry): string => ('coef' in one ? 'coef' : 'cap' in one ? 'cap' : 'other');
    const others = this.entries.filter((one) => one.vector !== entry.vector || kind(one) !== kind(entry));
    const isNothing = 'coef' in entry && entry.coef === 0;
    return this.setEntries(isNothing ? others : [...others, entry]);
  }

  async setEntries(entries: SteeringEntry[]): Promise<ResolvedSteering> {
    const { model, vectors, baseline } = this.settings;
    const spec = { interventions: entries, history: this.history };
    const resolved = await resolveSteering(spec, model.checkpoint, { vectors, baseline });
    this.entries = entries;
    this.resolved = resolved;
    return resolved;
  }

  /** What the steering does to the watched traits, by geometry; see `crossTraitReport`. */
  crossTraits(): CrossTrait[] {
    return crossTraitReport(this.resolved?.additions ?? [], this.settings.watched);
  }

  /** Takes back the last question and its reply; false where there is none. */
  undo(): boolean {
    const from = this.turns.findLastIndex(({ role }) => role === 'user');
    if (from < 0) return false;
    this.turns.length = from;
    return true;
  }

  clear(): void {
    this.turns.length = 0;
  }

  /** Asks, and keeps the reply. A reply that fails or is stopped leaves the conversation as it was. */
  async ask(question: string, onReply: OnReply, signal?: AbortSignal): Promise<ChatReply> {
    if (question.trim() === '') throw new UsageError('Expected a message, got an empty one.');
    const asked: ChatMessage = { role: 'user', content: question };
    const reply = await this.reply([...this.messages, asked], this.resolved, onReply, signal);
    this.turns.push(asked, { role: 'assistant', content: reply.text });
    return reply;
  }

  /**
   * The last reply once more, steered and unsteered, side by side and with the same random numbers; nothing is kept.
   *
   * @throws UsageError before the first question.
   */
  async compare(signal?: AbortSignal): Promise<{ readonly steered: ChatReply; readonly plain: ChatReply }> {
    const from = this.turns.findLastIndex(({ role }) => role === 'user');
    if (from < 0)
      throw new UsageError('Expected a question to compare replies to, got none yet; ask something first.');
    const messages = this.messages.slice(0, this.messages.length - this.turns.length + from + 1);
    const silent = (): void => undefined;
    const steered = await this.reply(messages, this.resolved, silent, signal);
    const plain = await this.reply(messages, null, silent, signal);
    return { steered, plain };
  }

  private async reply(
    messages: readonly ChatMessage[],
    steering: ResolvedSteering | null,
    onReply: OnReply,
    signal: AbortSignal | undefined,
  ): Promise<ChatReply> {
    const { model, watched, temperature, topP, seed } = this.settings;
    const prompt = this.promptOf(messages, steering);
    const room = model.checkpoint.config.maxPositions - prompt.ids.length;
    if (room < 1)
      throw new DataError(
        `The conversation fills the model's context of ${model.checkpoint.config.maxPositions} tokens; take turns back with /undo, or begin anew with /clear.`,
      );
    const states = new States(watched.length);
    const onToken = ({ text, projections }: TokenEvent): void => {
      if (projections !== undefined) states.add(projections);
      onReply(text, states.before, states.mean);
    };
    const row = {
      ...prompt,
      key: `turn ${messages.length}`,
      interventions: steering?.interventions ?? noSteering,
    };
    const project = watched.map(({ layer, vector }) => ({ layer, vector }));
    const options = {
      temperature,
      topP,
      seed,
      maxTokens: Math.min(this.settings.maxTokens, room),
      project,
      onToken,
    };
    for await (const result of model.generate([row], { ...options, ...(signal && { signal }) })) {
      const all = result.projections ?? new Float32Array(0);
      const whole = new States(watched.length);
      for (let i = 0; i < all.length; i += Math.max(1, watched.length))
        whole.add(all.subarray(i, i + watched.length));
      const text = (result.text ?? '').trim();
      return {
        text: text === '' ? '…' : text,
        before: whole.before,
        mean: whole.mean,
        finishReason: result.finishReason,
      };
    }
    throw new DataError('The reply was stopped.');
  }

  private promptOf(messages: readonly ChatMessage[], steering: ResolvedSteering | null) {
    const { checkpoint } = this.settings.model;
    if (steering?.history === 'steered') return steeredHistory(checkpoint, messages, thinkingOff(checkpoint));
    return { ids: encodeMessages(checkpoint, messages).ids };
  }
}

const noSteering: readonly Intervention[] = [];

/** The projections of a reply as they come: the last prompt token's, then those of the reply's tokens. */
class States {
  before: readonly number[] = [];
  private readonly sums: number[];
  private count = -1;

  constructor(width: number) {
    this.sums = Array.from({ length: width }, () => 0);
  }

  add(projections: Float32Array): void {
    if (++this.count === 0) this.before = [...projections];
    else projections.forEach((value, i) => (this.sums[i]! += value));
  }

  get mean(): readonly number[] | null {
    return this.count < 1 ? null : this.sums.map((sum) => sum / this.count);
  }
}
