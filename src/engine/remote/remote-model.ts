import { AbortError, DataError, UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { remoteId } from '../../model/remote-spec.ts';
import { thinkTokensOf } from '../../model/thinking.ts';
import { mapConcurrently } from '../../util/map-concurrently.ts';
import { RequestGate } from '../../util/http/request-gate.ts';
import type { Capability } from '../capabilities.ts';
import { requireCapability } from '../capabilities.ts';
import { prepareRow } from '../forward.ts';
import type { InterventionPlan } from '../interventions.ts';
import type { LanguageModel } from '../model.ts';
import { pools } from '../positions.ts';
import type { RowContext } from '../runtime.ts';
import type {
  ContinuationsOptions,
  ContinuationsRow,
  ContinuationsScored,
  ForwardOptions,
  ForwardResult,
  ForwardRow,
  Generated,
  GenerateOptions,
  GenerateRow,
  Pooling,
} from '../types.ts';
import { noInterventions } from '../interventions.ts';
import { placeTokens } from '../forward.ts';
import type { Completions } from './completions.ts';
import { generateRemotely } from './generate-remotely.ts';
import type { RemoteProtocol } from './protocol.ts';
import { layersOf, type Read, type Reading, ResidualReader, type ReadRow } from './residuals.ts';

/** Rows that wait for their answers at once; the server's own queue decides what runs. */
const ROWS = 64;
/** Answers with residual streams, of which a few fill the memory of a laptop. */
const CAPTURES = 4;
/** Bytes of such an answer that are aimed at; layers are asked for in as many requests as that takes. */
const CAPTURE_BYTES = 32 * 1024 * 1024;
/** Of a number in an answer at most: float32, in base64. */
const BYTES_A_NUMBER = (4 * 4) / 3;
/** Beside the numbers. */
const ANSWER_BYTES = 4 * 1024 * 1024;

const noRead: Read = { pooled: {}, projections: new Float32Array(0), tokens: new Float32Array(0) };

/** A model whose steps a server computes. */
export class RemoteModel implements LanguageModel {
  readonly checkpoint: Checkpoint;
  readonly precision: string;
  readonly capabilities: ReadonlySet<Capability>;
  readonly rows: RowContext;
  readonly completions: Completions;
  readonly protocol: RemoteProtocol;
  readonly #captures = new RequestGate({ concurrency: CAPTURES });
  readonly #onNotice: ((message: string) => void) | undefined;
  #noticed = false;
  #closed = false;

  constructor(
    checkpoint: Checkpoint,
    completions: Completions,
    protocol: RemoteProtocol,
    options: { readonly context: number; readonly onNotice?: ((message: string) => void) | undefined },
  ) {
    const { tokenizer, config } = checkpoint;
    this.checkpoint = checkpoint;
    this.precision = completions.spec.kind;
    this.completions = completions;
    this.protocol = protocol;
    this.capabilities = protocol.capabilities;
    this.#onNotice = options.onNotice;
    this.rows = {
      config,
      context: options.context,
      endsSentence: tokenizer === null ? null : (id) => tokenizer.endsSentence(id),
      thinkTokens: thinkTokensOf(tokenizer),
    };
  }

  async *forward(rows: readonly ForwardRow[], options: ForwardOptions = {}): AsyncGenerator<ForwardResult> {
    this.#requireOpen();
    if (options.logits !== undefined) requireCapability(this, 'logits', 'asking for logits');
    if (options.nll === true) requireCapability(this, 'nll', 'asking for log-probabilities');
    this.requireReading(options, options.pool);
    const prepared = rows.map((row, index) => prepareRow(this.rows, row, index, options));
    for (const { plan } of prepared) this.requireEdits(plan);
    const work = async (row: (typeof prepared)[number]): Promise<ForwardResult> => {
      const { index, tokens, plan, responseStart } = row;
      const pool = new Map(
        (options.pool ?? []).map((name): [Pooling, number[]] => [
          name,
          tokens.filter((place) => pools(name, place, this.rows.endsSentence)).map((place) => place.index),
        ]),
      );
      const reading: Reading = { pool, probes: options.project ?? [], tokens: options.tokens === true };
      const read = await this.read({ places: tokens, plan }, reading, options.signal);
      return {
        index,
        pooled: read.pooled,
        ...(options.tokens === true ? { tokens: read.tokens } : {}),
        ...(options.project === undefined ? {} : { projections: read.projections }),
        ...(options.nll === true
          ? { nll: await this.#nll({ places: tokens, plan }, responseStart, options.signal) }
          : {}),
      };
    };
    yield* mapConcurrently(prepared, work, { limit: ROWS, signal: options.signal, stopped });
  }

  async *generate(rows: readonly GenerateRow[], options: GenerateOptions): AsyncGenerator<Generated> {
    this.#requireOpen();
    yield* generateRemotely(this, rows, options, { limit: ROWS, stopped });
  }

  /** A request each: the server keeps what prompts have in common. */
  async *scoreContinuations(
    rows: readonly ContinuationsRow[],
    options: ContinuationsOptions = {},
  ): AsyncGenerator<ContinuationsScored> {
    this.#requireOpen();
    requireCapability(this, 'nll', 'scoring continuations');
    const results = rows.map(({ continuations }) => new Float64Array(continuations.length));
    const left = rows.map(({ continuations }) => continuations.length);
    const jobs = rows.flatMap(({ ids, continuations }, index) =>
      continuations.map((continuation, place) => {
        const name = `row ${index + 1}`;
        if (continuation.length === 0)
          throw new DataError(`${name}: expected continuations of at least one token, got an empty one`);
        return {
          index,
          place,
          start: ids.length,
          places: placeTokens(this.rows, [...ids, ...continuation], ids.length, name),
        };
      }),
    );
    const work = async ({ index, place, start, places }: (typeof jobs)[number]): Promise<number> => {
      const nll = await this.#nll({ places, plan: noInterventions }, start, options.signal);
      results[index]![place] = -nll.reduce((sum, x) => sum + x, 0);
      return index;
    };
    for (const [index, count] of left.entries()) if (count === 0) yield { index, logprobs: results[index]! };
    for await (const index of mapConcurrently(jobs, work, { limit: ROWS, signal: options.signal, stopped })) {
      left[index]!--;
      if (left[index] === 0) yield { index, logprobs: results[index]! };
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  /** Reads a row's residual streams, some layers a request. */
  async read({ places, plan }: ReadRow, reading: Reading, signal: AbortSignal | undefined): Promise<Read> {
    const { layers, width } = this.rows.config;
    const wanted = layersOf(reading, layers);
    if (wanted.length === 0) return noRead;
    const reader = new ResidualReader(reading, places.length, { layers, width });
    const layerBytes = places.length * width * BYTES_A_NUMBER;
    const step = Math.max(1, Math.floor(CAPTURE_BYTES / layerBytes));
    for (let first = 0; first < wanted.length; first += step) {
      const some = wanted.slice(first, first + step);
      await this.#captures.run(async () => {
        const steering = this.protocol.steer({ plan, places, newTokens: 0 });
        const { answer } = await this.completions.complete({
          ids: places.map(({ id }) => id),
          maxTokens: 1,
          extra: this.protocol.capture(steering, some),
          limit: ANSWER_BYTES + some.length * layerBytes,
          signal,
        });
        const residuals = this.protocol.residuals(answer, some, places.length);
        for (const layer of some)
          reader.add(layer, finite(residuals.layer(layer), layer, this.completions.id));
      }, signal);
    }
    return reader.result();
  }

  /** Refuses what is to be read where the server cannot give it. */
  requireReading(
    { project = [], tokens = false, adapter }: Pick<ForwardOptions, 'project' | 'tokens' | 'adapter'>,
    pool: readonly Pooling[] = [],
  ): void {
    if (adapter !== undefined) requireCapability(this, 'adapter', 'an adapter');
    if (pool.length === 0 && project.length === 0 && !tokens) return;
    requireCapability(this, 'capture', 'reading the residual stream');
    if (project.some(({ layer }) => layer === 0))
      requireCapability(this, 'embeddings', 'a projection at layer 0');
    if (this.#noticed || (pool.length === 0 && !tokens)) return;
    this.#noticed = true;
    this.#onNotice?.(
      `${this.completions.spec.kind} does not give the embeddings: row 0 (layer 0) of what is read is zero.`,
    );
  }

  /** Refuses edits that the server cannot do. */
  requireEdits({ layers, gates }: InterventionPlan): void {
    if (gates.length > 0) requireCapability(this, 'condition', 'an intervention with "when"');
    for (const edit of [...layers.values()].flat(2)) {
      requireCapability(this, `at ${edit.positions}`, `an intervention at "${edit.positions}"`);
      const isAddition = edit.min === -Infinity && edit.max === Infinity;
      if (isAddition) requireCapability(this, 'add', 'an addition');
      else if (edit.min === 0 && edit.max === 0 && edit.add === 0)
        requireCapability(this, 'ablate', 'an ablation');
      else requireCapability(this, 'clamp', 'a clamp');
      if (edit.keepNorm) requireCapability(this, 'keep-norm', 'an addition that keeps the norm');
    }
  }

  /** `[tokens]`: −log p of every token from `start` on, 0 before. */
  async #nll(
    { places, plan }: ReadRow,
    start: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { promptLogprobs } = await this.completions.complete({
      ids: places.map(({ id }) => id),
      maxTokens: 1,
      promptLogprobs: true,
      extra: this.protocol.steer({ plan, places, newTokens: 0 }),
      limit: ANSWER_BYTES + 256 * places.length,
      signal,
    });
    return Float32Array.from(promptLogprobs!, (logprob, i) =>
      i >= Math.max(1, start) ? -(logprob ?? 0) : 0,
    );
  }

  #requireOpen(): void {
    if (this.#closed)
      throw new UsageError(`expected an open model, got ${remoteId(this.completions.spec)}, which is closed`);
  }
}

function finite(values: Float32Array, layer: number, id: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new UsageError(
    `Expected finite residual streams from ${id}, got others at layer ${layer}; a vector is too strong for the model, or its weights are damaged.`,
    { details: { model: id, layer } },
  );
}

function stopped(): AbortError {
  return new AbortError('stopped before all rows were run');
}
