import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { EditFeeds } from '../engine/edit-feeds.ts';
import { openSession, runInto } from '../engine/session.ts';
import type { Pooling } from '../engine/types.ts';
import { DataError, EngineError, StoreError, UsageError } from '../errors.ts';
import { dropoutFeeds, type DropoutPlan } from './dropout.ts';
import { Evaluator, sumLosses } from './evaluator.ts';
import { layLines, type Lines } from './lines.ts';
import { clipFactor, gradientNorm, type Optimizer } from './optimizer.ts';
import { buildStepGraph, stepNames, type StepPlan } from './step-graph.ts';
import { checkRow, findQueries, linePlaces, type Query, RotaryFeeds, tokenFeeds } from './token-feeds.ts';
import { parameterFeeds } from './trainable.ts';
import { endsSentence, type TrainingModel } from './training-model.ts';
import type {
  EvaluateResult,
  MicroBatchResult,
  NamedTensor,
  Trainer,
  TrainerState,
  TrainingRow,
  UpdateResult,
} from './types.ts';

/** What a trainer is made of. */
export interface TrainerParts {
  readonly model: TrainingModel;
  readonly plan: StepPlan;
  readonly dropout: DropoutPlan | null;
  readonly optimizer: Optimizer;
  readonly maxGradNorm: number | null;
  readonly pack: boolean;
  readonly threads: number;
}

/** The trainer on graphs of ONNX Runtime: one session for steps, and one for evaluation, made when it is first asked for. */
export class GraphTrainer implements Trainer {
  private readonly parts: TrainerParts;
  private readonly rotary: RotaryFeeds;
  private readonly evaluator: Evaluator;
  private readonly edits: EditFeeds;
  /** Gradients of the step so far, index = parameter; the graph adds to them in place. */
  private readonly gathered: readonly Float32Array[];
  private readonly fixedFeeds: Record<string, Tensor>;
  /** Where the graph writes the gathered gradients: over what they were. */
  private readonly gatheredOutputs: Record<string, Tensor>;
  private session: InferenceSession | null = null;
  private steps = 0;
  private isOpen = true;
  /** Calls run one after the other, as they came. */
  private queue: Promise<unknown> = Promise.resolve();

  constructor(parts: TrainerParts) {
    const { model, plan } = parts;
    const { parameters } = model.trainable;
    this.parts = parts;
    this.rotary = new RotaryFeeds(model.config);
    this.evaluator = new Evaluator(model, this.rotary, parts.threads);
    this.edits = new EditFeeds(model.config, [plan.interventions]);
    this.gathered = parameters.map(({ data }) => new Float32Array(data.length));
    const tensors = parameters.map(({ shape }, i) => new Tensor('float32', this.gathered[i]!, shape));
    const bound = (named: (name: string) => string): Record<string, Tensor> =>
      Object.fromEntries(parameters.map(({ name }, i) => [named(name), tensors[i]!]));
    this.fixedFeeds = {
      ...bound(stepNames.gathered),
      ...parameterFeeds(parameters),
      ...model.frozen.feeds(),
    };
    this.gatheredOutputs = bound(stepNames.next);
  }

  accumulate(rows: readonly TrainingRow[], scale: number): Promise<MicroBatchResult> {
    return this.inTurn(() => this.runStep(rows, scale));
  }

  update({ learningRate }: { readonly learningRate: number }): Promise<UpdateResult> {
    return this.inTurn(() => {
      if (!(learningRate >= 0 && Number.isFinite(learningRate)))
        throw new UsageError(`expected a finite learning rate ≥ 0, got ${learningRate}`);
      const gradNorm = gradientNorm(this.gathered);
      if (Number.isFinite(gradNorm)) {
        this.steps++;
        const factor = clipFactor(gradNorm, this.parts.maxGradNorm);
        this.parts.optimizer.step(this.gathered, factor, learningRate, this.steps);
      }
      this.dropGathered();
      return Promise.resolve({ gradNorm });
    });
  }

  evaluate(rows: readonly TrainingRow[], options: { readonly pool?: Pooling } = {}): Promise<EvaluateResult> {
    return this.inTurn(() => this.evaluator.run(rows, options.pool));
  }

  parameters(): readonly NamedTensor[] {
    return this.parts.model.trainable.parameters.map(copyTensor);
  }

  /** The gradients that the step has gathered so far, under their parameters' names; copies. */
  gradients(): readonly NamedTensor[] {
    return this.parts.model.trainable.parameters.map(({ name, shape }, i) => ({
      name,
      shape,
      data: this.gathered[i]!.slice(),
    }));
  }

  state(): TrainerState {
    return { step: this.steps, tensors: this.stateTensors().map(copyTensor) };
  }

  restore(state: TrainerState): void {
    const own = this.stateTensors();
    const given = new Map(state.tensors.map((tensor) => [tensor.name, tensor]));
    for (const { name, data } of own) {
      const found = given.get(name)?.data.length;
      if (found !== data.length) throw differentState(name, data.length, found ?? 'none');
    }
    const stranger = state.tensors.find(({ name }) => !own.some((tensor) => tensor.name === name));
    if (stranger !== undefined) throw differentState(stranger.name, 'none', stranger.data.length);
    for (const { name, data } of own) data.set(given.get(name)!.data);
    this.steps = state.step;
    this.dropGathered();
  }

  save(folder: string): Promise<void> {
    return this.inTurn(() => this.parts.model.trainable.save(folder));
  }

  async close(): Promise<void> {
    await this.queue;
    this.isOpen = false;
    await this.session?.release();
    this.session = null;
    await this.evaluator.close();
  }

  private async runStep(rows: readonly TrainingRow[], scale: number): Promise<MicroBatchResult> {
    const { model, plan, pack } = this.parts;
    if (!(scale > 0 && Number.isFinite(scale)))
      throw new UsageError(`expected a finite scale > 0, the sum of all weights, got ${scale}`);
    for (const row of rows) checkRow(row, model.config);
    const lines = layLines(rows, pack);
    const queries = findQueries(lines);
    if (queries.length === 0)
      throw new DataError('expected a token with a weight in the micro-batch, got none');
    this.session ??= await openSession(buildStepGraph(model, plan), {
      threads: this.parts.threads,
      packed: false,
      into: true,
    });
    const losses = this.makeLosses(lines, queries);
    const outputs = { ...this.gatheredOutputs, ...lossTensors(losses, lines) };
    await runInto(this.session, this.stepFeeds(lines, queries, scale), outputs);
    const penalties = this.penalties(losses, queries, scale);
    return {
      ...sumLosses(queries, losses.nll, rows.length),
      tokens: rows.reduce((sum, row) => sum + row.ids.length, 0),
      ...(Object.keys(penalties).length === 0 ? {} : { penalties }),
    };
  }

  private stepFeeds(lines: Lines, queries: readonly Query[], scale: number): Record<string, Tensor> {
    const { model, plan, dropout } = this.parts;
    const shares = Float32Array.from(queries, ({ weight }) => weight / scale);
    return {
      ...this.fixedFeeds,
      ...tokenFeeds(lines, queries, this.rotary),
      ...this.edits.stageFeeds(linePlaces(lines), lines.length, endsSentence(model)),
      [stepNames.weights]: new Tensor('float32', shares, [queries.length]),
      ...(plan.penalty === null ? {} : { [stepNames.tokenWeights]: tokenWeights(lines, scale) }),
      ...(dropout === null ? {} : dropoutFeeds(dropout, lines, this.steps)),
    };
  }

  /** What the graph tells of a step beside its gradients. */
  private makeLosses(lines: Lines, queries: readonly Query[]): StepLosses {
    const { plan } = this.parts;
    return {
      nll: new Float32Array(queries.length),
      kl: plan.kl === 0 ? null : new Float32Array(queries.length),
      penalty: plan.penalty === null ? null : new Float32Array(lines.count * lines.length),
    };
  }

  /** Summed like the loss, weight times value: the graph's are shares of the whole batch already. */
  private penalties(
    { kl, penalty }: StepLosses,
    queries: readonly Query[],
    scale: number,
  ): Record<string, number> {
    const found: Record<string, number> = {};
    if (penalty !== null) found['penalty'] = penalty.reduce((sum, value) => sum + value, 0) * scale;
    if (kl !== null)
      found['kl'] = queries.reduce((sum, { weight }, i) => sum + this.parts.plan.kl * weight * kl[i]!, 0);
    return found;
  }

  private stateTensors(): readonly NamedTensor[] {
    const { model, optimizer } = this.parts;
    return [
      ...model.trainable.parameters.map(({ name, shape, data }) => ({
        name: `parameter/${name}`,
        shape,
        data,
      })),
      ...optimizer.moments,
    ];
  }

  private dropGathered(): void {
    for (const gradient of this.gathered) gradient.fill(0);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(() => {
      if (!this.isOpen) throw new EngineError('expected an open trainer, got one that is closed');
      return work();
    });
    this.queue = turn.catch(() => undefined);
    return turn;
  }
}

/** `[batch, position]`: the share of each token in the loss, where it is read. */
/** By token: −log p and KL `[query]`, and the penalty `[line, position]`; null what the plan has not. */
interface StepLosses {
  readonly nll: Float32Array;
  readonly kl: Float32Array | null;
  readonly penalty: Float32Array | null;
}

function lossTensors({ nll, kl, penalty }: StepLosses, { count, length }: Lines): Record<string, Tensor> {
  return {
    [stepNames.nll]: new Tensor('float32', nll, [nll.length]),
    ...(kl === null ? {} : { [stepNames.kl]: new Tensor('float32', kl, [kl.length]) }),
    ...(penalty === null ? {} : { [stepNames.penalty]: new Tensor('float32', penalty, [count, length]) }),
  };
}

function tokenWeights(lines: Lines, scale: number): Tensor {
  const weights = new Float32Array(lines.count * lines.length);
  for (const { row, line, start } of lines.rows) {
    row.weights.forEach((weight, i) => {
      weights[line * lines.length + start + i] = weight / scale;
    });
  }
  return new Tensor('float32', weights, [lines.count, lines.length]);
}

function copyTensor({ name, shape, data }: NamedTensor): NamedTensor {
  return { name, shape: [...shape], data: data.slice() };
}

function differentState(name: string, expected: number | string, got: number | string): StoreError {
  return new StoreError(
    `expected the state of the same training, with ${expected} numbers in ${name}, got ${got}; start anew or restore the options`,
    { details: { tensor: name } },
  );
}
