/**
 * The engine's vocabulary: rows in, taps and interventions as arguments, captures out.
 *
 * Layers are counted as everywhere in this package: layer `l`, 1 ≤ l ≤ L, is the residual stream after
 * block `l`, before the final norm; layer 0 is the embeddings.
 */

import type { Adapter } from '../model/adapter.ts';

/**
 * Where along a row something applies; `n` is the prompt's length, positions count from 0:
 * `all`; `prompt`, i < n; `response`, i ≥ n − 1 (the last prompt token decides the first reply token);
 * `boundary`, the last prompt token and every token that ends a sentence of the reply.
 */
export type Positions = 'all' | 'prompt' | 'response' | 'boundary';

interface InterventionTarget {
  /** 1 … L. */
  readonly layer: number;
  /** `[width]`. */
  readonly vector: ArrayLike<number>;
  /** Default `all`. */
  readonly positions?: Positions;
  /** Acts on reply tokens only, and on those alone whose predecessor fulfils this; generation only. */
  readonly when?: Condition;
}

/**
 * A direction whose projection p = h·v/‖v‖ is read at every token, after the interventions of its layer.
 */
export interface Probe {
  /** 0 … L. */
  readonly layer: number;
  /** `[width]`, not all zeros. */
  readonly vector: ArrayLike<number>;
}

/**
 * Holds at a token where its projection is above `above` and below `below`, whichever are given. What depends on it acts
 * on the next token: the last prompt token decides for the reply's first, each reply token for the one after it.
 */
export interface Condition extends Probe {
  readonly above?: number;
  readonly below?: number;
}

/** h ← h + coef · v; with `keepNorm`, h ← ‖h‖ (h + coef · v) / ‖h + coef · v‖. */
export interface AddIntervention extends InterventionTarget {
  readonly coef: number;
  readonly keepNorm?: true;
}
/** h ← h − (h·u) u with u = v/‖v‖. */
export interface AblateIntervention extends InterventionTarget {
  readonly ablate: true;
}
/** h ← h + (clamp(h·u, min, max) − h·u) u with u = v/‖v‖; an absent bound is open. */
export interface ClampIntervention extends InterventionTarget {
  readonly min?: number;
  readonly max?: number;
}
export type Intervention = AddIntervention | AblateIntervention | ClampIntervention;

/**
 * What is kept of a row's residual stream, `[L+1, width]` each: `response_mean` (i ≥ n), `prompt_mean`
 * (i < n), `prompt_last` (i = n − 1), `boundary_mean` (the positions of `boundary`).
 */
export const poolings = ['response_mean', 'prompt_mean', 'prompt_last', 'boundary_mean'] as const;
export type Pooling = (typeof poolings)[number];
/** Pooled residuals, `[L+1, width]` row-major, row l = layer l. */
export type Pooled = Partial<Record<Pooling, Float32Array>>;

/** One text to run once. */
export interface ForwardRow {
  readonly ids: readonly number[];
  /** Index of the first response token; default: the row's length (all of it is prompt). */
  readonly responseStart?: number;
  /** In the order in which they act where they overlap. */
  readonly interventions?: readonly Intervention[];
}

export interface ForwardOptions {
  readonly pool?: readonly Pooling[];
  /** Leave the reply's `<think>` spans out of `response_mean` and `boundary_mean`; needs such tokens, else nothing is left out. */
  readonly skipThoughts?: boolean;
  /** Also the residuals of every token, `[tokens, L+1, width]`. */
  readonly tokens?: boolean;
  /** Also the projections of every token on these, `[tokens, probes]`. */
  readonly project?: readonly Probe[];
  /** Logits of the last token or of all of them. */
  readonly logits?: 'last' | 'all';
  /** −log p of every response token given what comes before it, 0 elsewhere. */
  readonly nll?: boolean;
  readonly adapter?: Adapter;
  /** Cap on padded tokens in a batch; never needed for correctness. */
  readonly batchTokens?: number;
  readonly signal?: AbortSignal;
}

export interface ForwardResult {
  /** Position of the row in the input. */
  readonly index: number;
  readonly pooled: Pooled;
  /** `[tokens, L+1, width]`. */
  readonly tokens?: Float32Array;
  /** `[tokens, probes]`. */
  readonly projections?: Float32Array;
  /** `[1 or tokens, vocabulary]`. */
  readonly logits?: Float32Array;
  /** `[tokens]`. */
  readonly nll?: Float32Array;
}

/** Tokens `start` … `end` − 1 of a prompt. */
export interface ReplyRange {
  readonly start: number;
  readonly end: number;
}

/** One prompt to continue. */
export interface GenerateRow {
  readonly ids: readonly number[];
  /** Names the row's random stream; default: the row's index. Rows keep their text whatever runs beside them. */
  readonly key?: string;
  readonly interventions?: readonly Intervention[];
  /**
   * Earlier replies in the prompt on which positions `response` and `boundary` act too, as they do in a cache that is kept
   * while a steered conversation goes on; default: none, so that what was said before is read unsteered.
   */
  readonly steeredReplies?: readonly ReplyRange[];
  /**
   * A given reply to the same prompt. It is run with the prompt, for its projections alone (see `Generated.read`), and
   * forgotten: the row is continued after the prompt, with the bits that it has without it; `prompt_mean` alone, whose sum
   * follows the pieces that long prompts are run in, may differ in its last bits.
   */
  readonly read?: readonly number[];
  /** Ends this row alone, as `cancelled`, with what it has. */
  readonly signal?: AbortSignal;
}

/** A token as it is generated; the text is what it lets through, in whole characters and clear of stop strings. */
export interface TokenEvent {
  /** Position of the row in the input. */
  readonly index: number;
  /** Null where only text that was held back comes through, at the row's end. */
  readonly id: number | null;
  readonly text: string;
  readonly logprob?: number;
  /** The most likely tokens in its place, where log-probabilities are asked for; most likely first. */
  readonly top?: TokenLogprobs['top'];
  /** Where asked for: the projections `[probes]` of the token before this one, from whose state it was drawn. */
  readonly projections?: Float32Array;
}

/** A chosen token's log-probability under the model, before any sampling option, beside the most likely ones. */
export interface TokenLogprobs {
  readonly id: number;
  readonly logprob: number;
  /** Most likely first. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** `stop`: an end-of-turn token or a stop string; `length`: the limit; `cancelled`: the row's own signal. */
export type FinishReason = 'stop' | 'length' | 'cancelled';

export interface GenerateOptions {
  readonly maxTokens: number;
  /** 0, the default, is greedy. */
  readonly temperature?: number;
  /** Keep the smallest set of tokens whose probability reaches this; default 1 keeps all. */
  readonly topP?: number;
  /** Keep this many of the most likely tokens; default 0 keeps all. */
  readonly topK?: number;
  /** Keep tokens at least this many times as likely as the most likely one; default 0 keeps all. */
  readonly minP?: number;
  /** Above 1 makes tokens of the prompt and the reply less likely to come again; default 1. */
  readonly repetitionPenalty?: number;
  /** Strings that end a reply and are not part of its text; need a tokenizer. */
  readonly stop?: readonly string[];
  /** Report the log-probability of every token, and of this many of the most likely ones beside it. */
  readonly logprobs?: number;
  /** Called for every token as it comes. */
  readonly onToken?: (event: TokenEvent) => void;
  readonly seed?: number;
  /** Go on after an end-of-turn token. */
  readonly ignoreEos?: boolean;
  /** Pooled while generating; a rollout is never run a second time. */
  readonly capture?: readonly Pooling[];
  /** Leave the reply's `<think>` spans out of `response_mean` and `boundary_mean`; needs such tokens, else nothing is left out. */
  readonly skipThoughts?: boolean;
  /** Projections of the last prompt token and of every reply token on these, read while generating. */
  readonly project?: readonly Probe[];
  readonly adapter?: Adapter;
  /** Most rows that run side by side; fewer where the memory for their keys and values ends. */
  readonly batchRows?: number;
  /**
   * Memory for the keys and values of all rows, in bytes; default: half of what the system can give when the call starts,
   * with the weights in memory already.
   */
  readonly cacheBytes?: number;
  /** Cap on padded prompt tokens that are run at once; never needed for correctness. */
  readonly batchTokens?: number;
  readonly signal?: AbortSignal;
}

export interface Generated {
  /** Position of the row in the input. */
  readonly index: number;
  /** New tokens, without the end-of-turn token. */
  readonly ids: readonly number[];
  /** The reply up to a stop string, special tokens left out; null where the model has no tokenizer. */
  readonly text: string | null;
  readonly finishReason: FinishReason;
  readonly pooled: Pooled;
  /** `[1 + tokens fed, probes]`, where asked for: the last prompt token's, then the reply's. */
  readonly projections?: Float32Array;
  /** `[tokens, probes]` of the given reply that was read, where asked for. */
  readonly read?: Float32Array;
  /** One a token, where asked for. */
  readonly logprobs?: readonly TokenLogprobs[];
}

/** A prompt, and texts of which each might follow it. */
export interface ContinuationsRow {
  readonly ids: readonly number[];
  /** None of them empty. They are not continuations of each other: what they begin with in common is run once. */
  readonly continuations: readonly (readonly number[])[];
}

export interface ContinuationsOptions {
  readonly adapter?: Adapter;
  /** Most rows side by side in a step; decides speed and memory only. */
  readonly batchRows?: number;
  readonly signal?: AbortSignal;
}

export interface ContinuationsScored {
  /** Position of the row in the input. */
  readonly index: number;
  /** log p of every continuation given the prompt, in nats, in their order: the sum over its tokens. */
  readonly logprobs: Float64Array;
}
