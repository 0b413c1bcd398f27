import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { EngineError } from '../errors.ts';
import type { Adapter } from '../model/adapter.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { Device } from './device-name.ts';
import { DeviceCache, keepsCache } from './device-cache.ts';
import { checkAttention, PLAIN_POSITIONS } from './device-check.ts';
import { leastDirections } from './device.ts';
import type { ModelConfig } from '../model/config.ts';
import { type ThinkTokens, thinkTokensOf } from '../model/thinking.ts';
import { type ModelWeights, projections } from '../model/weights.ts';
import { threadCount } from '../util/threads.ts';
import type { EditFeeds } from './edit-feeds.ts';
import type { BlockCache } from './kv-cache.ts';
import type { SentenceEnd, TokenPlace } from './positions.ts';
import { LogitReader } from './logit-reader.ts';
import { adapterChunks, neutralChunk } from './adapter-chunks.ts';
import type { QuantisedOrPlainSource, WeightRecipe } from './quantised-weights.ts';
import { ProbeFeeds } from './probe-feeds.ts';
import { floatData, openSession, runInto, runSession } from './session.ts';
import type { Probe } from './types.ts';
import { buildTransformer, type GraphRoom, names, narrow, rotatesInside } from './transformer.ts';

/** Rotary tables grow with the context; longer rows are run by asking for a longer context. */
const defaultContextLimit = 32_768;

export interface RuntimeOptions {
  /** Default: the processor. */
  readonly device?: Device;
  readonly threads?: number;
  readonly context?: number;
  readonly purpose?: 'generate' | 'one-pass';
}

/** A model's weights as the session takes them. */
export interface RuntimeWeights {
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  /** Null where the products run in fp32. */
  readonly recipe: WeightRecipe | null;
}

/** The tokens that a row feeds in one step. */
export interface StepRow {
  readonly tokens: readonly TokenPlace[];
}

/** `count` positions of every row, `[batch, count]`. */
export interface PositionIndex {
  readonly count: number;
  readonly index: BigInt64Array;
}

export const noPositions: PositionIndex = { count: 0, index: new BigInt64Array(0) };

/**
 * One step of a batch: first prompts of any lengths (`past` 0 everywhere), or one token a row.
 * Rows shorter than the longest are padded on the right; padding takes part in nothing.
 */
export interface Step {
  readonly rows: readonly StepRow[];
  /** Length of the padded position axis; see `paddedLength`. */
  readonly positions: number;
  readonly cache: readonly BlockCache[];
  /** Weights `[batch, reading, position]` of the taps. */
  readonly pool: { readonly readings: number; readonly weights: Float32Array };
  /** Positions `[batch, query]` whose logits are wanted. */
  readonly queries: PositionIndex;
  /** Positions `[batch, token]` whose residuals are wanted. */
  readonly tokens: PositionIndex;
  readonly edits: EditFeeds;
  /** Stages that the step's interventions need. */
  readonly stages: number;
  readonly adapter: Adapter | undefined;
  /** What the rows are projected on; default: nothing. */
  readonly probes?: ProbeFeeds;
  /**
   * What becomes of the keys and values on a device that can keep them: they come to memory (the default), stay there until
   * `fetchCache` or `dropCache`, or are let go. The processor's are in memory in any case.
   */
  readonly afterwards?: 'memory' | 'device' | 'nothing';
  /** Where the logits are to be written, at least `[batch, query, vocabulary]` long; default: memory of their own. */
  readonly logits?: Float32Array;
}

export interface StepResult {
  /** `[batch, reading, L+1, width]`. */
  readonly taps: Float32Array;
  /** `[batch, token, L+1, width]`. */
  readonly tokens: Float32Array;
  /** `[batch, query, vocabulary]`. */
  readonly logits: Float32Array;
  /** As `ProbeFeeds.read` reads them. */
  readonly projections: Float32Array;
}

/**
 * Length of the position axis for first prompts: the longest row, made even. Attention takes the positions in
 * blocks of even size, and the runtime has a kernel of its own, with another order of summation, for products
 * of a single row; an odd length would leave such a row, and its bits would depend on its neighbours' lengths.
 */
export function paddedLength(rows: readonly StepRow[]): number {
  const longest = Math.max(...rows.map((row) => row.tokens.length));
  return longest + (longest % 2);
}

/** What is checked of rows before they are run, wherever they run. */
export type RowContext = Pick<Runtime, 'config' | 'context' | 'endsSentence' | 'thinkTokens'>;

/** One model's session, and the only place that talks to ONNX Runtime. */
export class Runtime {
  readonly config: ModelConfig;
  readonly context: number;
  readonly endsSentence: SentenceEnd;
  /** Null where the tokenizer has none. */
  readonly thinkTokens: ThinkTokens | null;
  /** Batches are filled up to a multiple of this many rows; see `fillBatch`. */
  readonly batchMultiple: number;
  private readonly weights: ModelWeights<QuantisedOrPlainSource>;
  private readonly weighsInBlocks: boolean;
  private readonly options: RuntimeOptions;
  private room: GraphRoom;
  private session: InferenceSession | null = null;
  private reader: Promise<LogitReader> | null = null;
  private deviceChecked: Promise<void> | null = null;
  /** Null where keys and values lie in memory always. */
  private readonly deviceCache: DeviceCache | null;
  /** Calls run one after the other: the session is shared, and may be rebuilt between two steps. */
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(checkpoint: Checkpoint, { weights, recipe }: RuntimeWeights, options: RuntimeOptions) {
    this.config = checkpoint.config;
    this.weights = weights;
    // The kernel for blocks of 128 takes token rows in pairs, and sums a lone one in another order.
    this.batchMultiple = recipe?.blockSize === 128 && (options.device ?? 'cpu') === 'cpu' ? 2 : 1;
    this.weighsInBlocks = recipe !== null;
    this.options = options;
    const { device = 'cpu' } = options;
    this.deviceCache = keepsCache(device) ? new DeviceCache(checkpoint.config, device) : null;
    const { tokenizer } = checkpoint;
    this.endsSentence = tokenizer === null ? null : (id) => tokenizer.endsSentence(id);
    this.thinkTokens = thinkTokensOf(tokenizer);
    this.context = options.context ?? Math.min(this.config.maxPositions, defaultContextLimit);
    this.room = { stages: 1, adapters: false, norms: false };
  }

  /** @throws ModelError where the runtime refuses the model. */
  static async create(
    checkpoint: Checkpoint,
    weights: RuntimeWeights,
    options: RuntimeOptions,
  ): Promise<Runtime> {
    const runtime = new Runtime(checkpoint, weights, options);
    runtime.session = await runtime.createSession();
    return runtime;
  }

  /** `items` with `filler` behind them, up to a whole multiple; what comes of the filler is not read. */
  fillBatch<Item>(items: readonly Item[], filler: Item): Item[] {
    const missing = (this.batchMultiple - (items.length % this.batchMultiple)) % this.batchMultiple;
    return [...items, ...Array.from({ length: missing }, () => filler)];
  }

  /** @throws EngineError where the runtime fails in mid-step or the model is closed. */
  async step(step: Step): Promise<StepResult> {
    const turn = this.queue.then(() => this.runStep(step));
    this.queue = turn.catch(() => undefined);
    return turn;
  }

  /** Brings keys and values of a step that kept them on the device into its cache's memory, where slots are moved and read. */
  async fetchCache(views: readonly BlockCache[]): Promise<void> {
    if (this.deviceCache === null) return;
    const turn = this.queue.then(() => this.deviceCache?.fetch(views));
    this.queue = turn.catch(() => undefined);
    await turn;
  }

  /** Lets go of them instead, where nobody will read them again. */
  dropCache(views: readonly BlockCache[]): void {
    this.deviceCache?.drop(views);
  }

  /** What reads logits for those who draw tokens from them; closed with the model. */
  async logitReader(): Promise<LogitReader> {
    if (this.session === null) throw closed();
    this.reader ??= LogitReader.create(this.config.vocabSize, this.threads());
    return this.reader;
  }

  async close(): Promise<void> {
    await this.queue;
    const { session, reader } = this;
    this.session = null;
    this.reader = null;
    await this.deviceCache?.close();
    await session?.release();
    await (await reader)?.close();
  }

  private async runStep(step: Step): Promise<StepResult> {
    const adapters = step.adapter !== undefined;
    await this.makeRoom({ stages: step.stages, adapters, norms: step.edits.keepsNorm });
    if (this.session === null) throw closed();
    await this.checkDevice(step);
    const { positions } = step;
    const probes = step.probes ?? ProbeFeeds.of(this.config, step.rows.map(nothing));
    const feeds: Record<string, Tensor> = {
      ...this.tokenFeeds(step, positions),
      ...step.edits.feeds(
        this.room,
        step.rows.map((row) => row.tokens),
        positions,
        this.endsSentence,
        leastDirections(this.options.device),
      ),
      ...this.adapterFeeds(step.adapter),
      ...probes.feeds,
    };
    const results = this.results(step, probes.total);
    const outputs: Record<string, Tensor> = {
      [names.taps]: results.taps,
      [names.tokens]: results.tokens,
      [names.logits]: results.logits,
      [names.projections]: results.projections,
    };
    const past = this.deviceCache?.past(step.cache) ?? step.cache;
    step.cache.forEach((block, i) => {
      for (const part of ['key', 'value'] as const) {
        feeds[names.past(i, part)] = past[i]![part];
        outputs[names.present(i, part)] = block[part];
      }
    });
    if (this.deviceCache === null) await runInto(this.session, feeds, outputs);
    else await this.runOnDevice(this.session, this.deviceCache, step, { feeds, outputs });
    return {
      taps: floatData(results.taps),
      tokens: floatData(results.tokens),
      logits: floatData(results.logits),
      projections: floatData(results.projections),
    };
  }

  /** Before the first step with room for more positions than every driver computes rightly. */
  private async checkDevice({ cache }: Step): Promise<void> {
    const { device = 'cpu' } = this.options;
    const reach = cache[0]!.key.dims[2]!;
    if (device === 'cpu' || reach <= PLAIN_POSITIONS) return;
    await (this.deviceChecked ??= checkAttention(device, this.config));
  }

  /** A step whose keys and values stay on the device; the binding then hands all results over, and writes into no memory. */
  private async runOnDevice(
    session: InferenceSession,
    cache: DeviceCache,
    { cache: views, afterwards = 'memory' }: Step,
    { feeds, outputs }: Readonly<Record<'feeds' | 'outputs', Record<string, Tensor>>>,
  ): Promise<void> {
    const wanted = Object.fromEntries(Object.keys(outputs).map((name) => [name, null]));
    const results = await runSession(session, feeds, wanted);
    for (const name of [names.taps, names.tokens, names.logits, names.projections])
      floatData(outputs[name]).set(floatData(results[name]));
    cache.hold(views, results);
    if (afterwards === 'memory') await cache.fetch(views);
    if (afterwards === 'nothing') cache.drop(views);
  }

  /** Room for what a step gives; see `StepResult`. */
  private results(step: Step, columns: number): Record<keyof StepResult, Tensor> {
    const { rows, positions, pool, tokens, queries, logits } = step;
    const { layers, width, vocabSize } = this.config;
    const room = (shape: readonly number[], given?: Float32Array): Tensor => {
      const size = shape.reduce((product, axis) => product * axis, 1);
      return new Tensor('float32', given?.subarray(0, size) ?? new Float32Array(size), shape);
    };
    return {
      taps: room([rows.length, pool.readings, layers + 1, width]),
      tokens: room([rows.length, tokens.count, layers + 1, width]),
      // A large vocabulary's logits are tens of megabytes a step, which are not worth collecting anew.
      logits: room([rows.length, queries.count, vocabSize], logits),
      projections: room([rows.length, positions, columns]),
    };
  }

  private tokenFeeds(step: Step, positions: number): Record<string, Tensor> {
    const batch = step.rows.length;
    const ids = new BigInt64Array(batch * positions);
    const places = new BigInt64Array(batch * positions);
    const seqlens = new Int32Array(batch);
    step.rows.forEach((row, b) => {
      row.tokens.forEach((token, i) => {
        ids[b * positions + i] = BigInt(token.id);
        places[b * positions + i] = BigInt(token.index);
      });
      seqlens[b] = (row.tokens.at(-1) as TokenPlace).index;
    });
    const shape = [batch, positions];
    // A first prompt is recognised by a total equal to the padded length; a later step counts the cache too.
    const first = step.rows.every((row) => (row.tokens[0] as TokenPlace).index === 0);
    const total = first ? positions : Math.max(...seqlens) + 1;
    return {
      [names.ids]: new Tensor('int64', ids, shape),
      ...(rotatesInside(this.config) ? {} : { [names.positions]: new Tensor('int64', places, shape) }),
      [names.seqlens]: new Tensor('int32', seqlens, [batch]),
      [names.total]: new Tensor('int32', Int32Array.of(total), [1]),
      [names.pool]: new Tensor('float32', step.pool.weights, [batch, step.pool.readings, positions]),
      [names.logitIndex]: new Tensor('int64', step.queries.index, [batch, step.queries.count, 1]),
      [names.tokenIndex]: new Tensor('int64', step.tokens.index, [batch, step.tokens.count, 1]),
    };
  }

  private adapterFeeds(adapter: Adapter | undefined): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    if (!this.room.adapters) return feeds;
    const chunks = adapter === undefined ? null : adapterChunks(adapter);
    this.weights.blocks.forEach((block, i) => {
      for (const projection of projections) {
        const [out, input] = block.projections[projection].weight.shape as readonly [number, number];
        const { count, a, b } = chunks?.[i]?.[projection] ?? neutralChunk(out, input);
        feeds[names.lora(i, projection, 'a')] = new Tensor('float32', a, [count, 1, narrow, input]);
        feeds[names.lora(i, projection, 'b')] = new Tensor('float32', b, [count, 1, out, narrow]);
      }
    });
    return feeds;
  }

  /** Rebuilds the session where a call needs more than the graph has; the bits of its results stay. */
  private async makeRoom(needed: GraphRoom): Promise<void> {
    const wider = {
      stages: Math.max(this.room.stages, needed.stages),
      adapters: this.room.adapters || needed.adapters,
      norms: this.room.norms || needed.norms,
    };
    if (this.session === null) return;
    const { stages, adapters, norms } = this.room;
    if (wider.stages === stages && wider.adapters === adapters && wider.norms === norms) return;
    this.room = wider;
    await this.deviceCache?.fetchAll();
    // Released first: two sessions would hold the weights twice.
    await this.session.release();
    this.session = await this.createSession();
  }

  private createSession(): Promise<InferenceSession> {
    const graph = buildTransformer(this.config, this.weights, this.room, this.context);
    // Weights in blocks are packed for one pass too: their products are far slower without.
    const packed = this.weighsInBlocks || this.options.purpose !== 'one-pass';
    const { device = 'cpu' } = this.options;
    const settings = { threads: this.threads(), packed, into: true, device };
    if (this.deviceCache === null) return openSession(graph, settings);
    const places = graph.outputs.map(({ name }) => [name, isPresent(name) ? 'gpu-buffer' : 'cpu'] as const);
    return openSession(graph, {
      ...settings,
      options: { preferredOutputLocation: Object.fromEntries(places) },
    });
  }

  /**
   * No more threads than heads: attention hands idle threads parts of one head's sum, and whether there are any
   * depends on how many rows share the step.
   */
  private threads(): number {
    return Math.min(this.options.threads ?? worthwhileThreads(this.weights), this.config.heads);
  }
}

function isPresent(output: string): boolean {
  return output.includes('/present.');
}

/** Of a row that is projected on nothing. */
function nothing(): readonly Probe[] {
  return [];
}

function closed(): EngineError {
  return new EngineError('expected a loaded model, got one that is closed; load it again');
}

/** Parameters a thread, below which waking another one costs more than it saves. */
const parametersPerThread = 1_000_000;

function worthwhileThreads(weights: ModelWeights<QuantisedOrPlainSource>): number {
  const sources = weights.blocks.flatMap((block) =>
    projections.map((name) => block.projections[name].weight),
  );
  const parameters = sources.reduce((sum, { shape: [out = 0, input = 0] }) => sum + out * input, 0);
  return Math.min(threadCount(), Math.max(1, Math.ceil(parameters / parametersPerThread)));
}
