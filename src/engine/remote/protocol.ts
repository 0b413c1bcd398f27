import type { Capability } from '../capabilities.ts';
import type { InterventionPlan } from '../interventions.ts';
import type { TokenPlace } from '../positions.ts';
import type { Completions } from './completions.ts';
import type { Residuals } from './residuals.ts';

/** What acts on a request, and the tokens that it may act on. */
export interface RemoteEdits {
  readonly plan: InterventionPlan;
  /** The request's prompt: given text is prompt too, and the places say where its reply begins. */
  readonly places: readonly TokenPlace[];
  /** Tokens that may be generated and fed behind it. */
  readonly newTokens: number;
}

/** How one kind of server is asked for what OpenAI's protocol has no words for. */
export interface RemoteProtocol {
  /** What this server can do, by its own answers. */
  readonly capabilities: ReadonlySet<Capability>;
  /** Keys of a completion's body by which `edits` act. */
  steer(edits: RemoteEdits): object;
  /** Keys by which layers, 1 … L, come back, merged with those of steering. */
  capture(steering: object, layers: readonly number[]): object;
  /** The residual streams in an answer, of the layers that were asked for. */
  residuals(answer: unknown, layers: readonly number[], tokens: number): Residuals;
}

/** Asks a server what it is, before anything relies on it. @throws UsageError where it is not what its name says. */
export type OpenProtocol = (
  completions: Completions,
  model: {
    readonly layers: number;
    readonly width: number;
    /** Ids of a short prompt that any model can run. */
    readonly prompt: readonly number[];
    /** Ids of all tokens that end a sentence; null where nothing tells. */
    readonly sentenceEnds: readonly number[] | null;
  },
) => Promise<RemoteProtocol>;
