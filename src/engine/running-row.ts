import { type EngineError, UsageError } from '../errors.ts';
import type { StreamDecoder } from '../model/decode-stream.ts';
import type { ThoughtTracker } from '../model/thinking.ts';
import { joined } from '../util/joined.ts';
import type { Random } from '../util/random.ts';
import type { InterventionPlan } from './interventions.ts';
import type { PoolAccumulator } from './pool-accumulator.ts';
import type { TokenPlace } from './positions.ts';
import type { PrefillRow } from './prefill.ts';
import type { SamplingOptions } from './sample.ts';
import type { StopWatch } from './stop-strings.ts';
import type { FinishReason, Generated, Probe, TokenEvent, TokenLogprobs } from './types.ts';

/** A token drawn for a row, with what is to be reported of it. */
export interface DrawnToken {
  readonly id: number;
  /** Null where nobody asks. */
  readonly report: TokenLogprobs | null;
}

/** What a row needs to know of the call that it belongs to. */
export interface RowSettings {
  /** Number of the call, from 1. */
  readonly call: number;
  readonly maxTokens: number;
  readonly eos: ReadonlySet<number>;
  readonly capturing: boolean;
  /** How many of a row's probes, the first ones, are part of the result. */
  readonly projected: number;
  readonly onToken: ((event: TokenEvent) => void) | undefined;
  readonly sampling: SamplingOptions;
  /** How many of the most likely tokens are reported with each token; null reports nothing. */
  readonly logprobs: number | null;
  /** Whether residuals of every reply token are kept. */
  readonly pooling: boolean;
  /** Whether the mean over the prompt is among what is kept. */
  readonly poolingPrompt: boolean;
}

/** What a row starts with. */
export interface RowStart extends Omit<PrefillRow, 'pooling' | 'poolingPrompt'> {
  readonly index: number;
  readonly random: Random;
  readonly pool: PoolAccumulator;
  /** Null where thoughts are pooled like the rest. */
  readonly thoughts: ThoughtTracker | null;
  /** Null where the model has no tokenizer. */
  readonly decode: ((ids: readonly number[]) => string) | null;
  /** Null where nobody waits for the text as it comes: to decode a reply whole is far cheaper. */
  readonly decoder: StreamDecoder | null;
  readonly watch: StopWatch;
  readonly signal: AbortSignal | undefined;
}

/** A row on its way: waiting, running in a slot, or done. */
export class RunningRow implements PrefillRow {
  readonly index: number;
  readonly prompt: readonly TokenPlace[];
  readonly read: readonly TokenPlace[];
  readonly plan: InterventionPlan;
  readonly planKey: number;
  readonly pooling: boolean;
  readonly poolingPrompt: boolean;
  readonly sampling: SamplingOptions;
  readonly logprobs: number | null;
  /** Equal for rows of which one prompt's run serves all. */
  readonly promptKey: string;
  readonly pool: PoolAccumulator;
  readonly random: Random;
  /** Those that the caller asked for, then the gates. */
  readonly probes: readonly Probe[];
  private readonly start: RowStart;
  private readonly settings: RowSettings;
  private readonly ids: number[] = [];
  private readonly reports: TokenLogprobs[] = [];
  private finished: FinishReason | null = null;
  /** Whether the last token belongs to a thought that is left out. */
  private thought = false;
  /** `[probes asked for]` a token that was fed. */
  private readonly projections: Float32Array[] = [];
  /** `[tokens, probes]` of what was read behind the prompt, gates among the probes. */
  private readProjections: Float32Array = new Float32Array(0);
  /** Which gates the token that was fed last has opened. */
  private open: readonly boolean[] = [];

  constructor(start: RowStart, settings: RowSettings) {
    this.index = start.index;
    this.prompt = start.prompt;
    this.read = start.read ?? [];
    this.plan = start.plan;
    this.planKey = start.planKey;
    this.pool = start.pool;
    this.random = start.random;
    this.probes = start.probes;
    this.pooling = settings.pooling;
    this.poolingPrompt = settings.poolingPrompt;
    this.sampling = settings.sampling;
    this.logprobs = settings.logprobs;
    this.promptKey = promptKey(start, settings);
    this.start = start;
    this.settings = settings;
  }

  /** The token to feed next; its key and value are the first that the cache does not hold. */
  get last(): TokenPlace {
    const length = this.prompt.length;
    const id = this.ids.at(-1) as number;
    return {
      id,
      index: length + this.ids.length - 1,
      promptLength: length,
      thought: this.thought,
      open: this.open,
    };
  }

  get done(): boolean {
    if (this.start.signal?.aborted === true) this.finished ??= 'cancelled';
    return this.finished !== null;
  }

  /** Whether what comes next is a token, and not the end of a row that has only been fed to be captured. */
  get wantsToken(): boolean {
    return !this.done && this.ids.length < this.settings.maxTokens;
  }

  /** Tokens that have occurred, each as often as it has. */
  *seen(): Generator<number> {
    for (const place of this.prompt) yield place.id;
    yield* this.ids;
  }

  /** Takes the projections `[tokens, probes]` of what was read behind the prompt. */
  takeRead(values: Float32Array): void {
    this.readProjections = values;
  }

  /** Takes the projections `[probes]` of the token that was fed, which decide what acts on the next one. */
  project(values: Float32Array): void {
    const { projected } = this.settings;
    if (projected > 0) this.projections.push(values.slice(0, projected));
    this.open = this.plan.gates.map(({ above, below }, i) => {
      const value = values[projected + i] as number;
      return value > above && value < below;
    });
  }

  /** Takes the token that was drawn; null, where none was wanted, ends the row. */
  advance(drawn: DrawnToken | null): void {
    if (this.done) return;
    if (drawn === null) {
      this.finished = 'length';
      return;
    }
    const { id, report } = drawn;
    if (this.settings.eos.has(id)) {
      this.finished = 'stop';
      return;
    }
    this.ids.push(id);
    this.thought = this.start.thoughts?.push(id) ?? false;
    if (report !== null) this.reports.push(report);
    const { text, stopped } = this.start.watch.push(this.start.decoder?.push(id) ?? '');
    this.settings.onToken?.({
      index: this.index,
      id,
      text,
      ...(report && { logprob: report.logprob, top: report.top }),
      ...(this.projections.length > 0 && { projections: this.projections.at(-1) as Float32Array }),
    });
    if (stopped) this.finished = 'stop';
    // A token's residual exists once it is fed, so a captured row is fed once more at its limit.
    else if (this.ids.length === this.settings.maxTokens && !this.settings.capturing)
      this.finished = 'length';
  }

  /** What its caller is told where its logits are not numbers: that its own steering has done it, where it has one. */
  notFinite(error: EngineError): Error {
    if (this.planKey === 0) return error;
    return new UsageError(
      `row ${this.index + 1}: expected interventions under which the model's logits stay finite, got too strong ones; use less.`,
      { cause: error },
    );
  }

  result(): Generated {
    return {
      index: this.index,
      ids: this.ids,
      text: this.text(),
      finishReason: this.finished ?? 'length',
      pooled: this.pool.pooled(),
      ...(this.settings.projected > 0 ? { projections: joined(this.projections) } : {}),
      ...(this.read.length > 0 ? { read: this.askedOf(this.readProjections) } : {}),
      ...(this.settings.logprobs !== null ? { logprobs: this.reports } : {}),
    };
  }

  /** Of every token's probes those that the caller asked for. */
  private askedOf(values: Float32Array): Float32Array {
    const [width, { projected }] = [this.probes.length, this.settings];
    return values.filter((_, i) => i % width < projected);
  }

  /** The whole text; what the stream still held back goes to the listener first. */
  private text(): string | null {
    const { decode, decoder, watch } = this.start;
    if (decoder === null) return decode?.(this.ids) ?? null;
    if (watch.stopped) return watch.text;
    const { text, stopped } = watch.push(decoder.end());
    const rest = text + (stopped ? '' : watch.end());
    if (rest !== '') this.settings.onToken?.({ index: this.index, id: null, text: rest });
    return watch.text;
  }
}

/** What a prompt leaves for those who read more of it than its logits depends on what they read. */
function promptKey({ planKey, prompt, read = [], probes }: RowStart, settings: RowSettings): string {
  const keeps = probes.length > 0 || settings.pooling || read.length > 0;
  const ids = (places: readonly TokenPlace[]): string => places.map((place) => place.id).join(',');
  return `${planKey}:${keeps ? settings.call : 0}:${ids(prompt)}:${ids(read)}`;
}
