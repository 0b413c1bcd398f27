import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { noInterventions } from '../../src/engine/interventions.ts';
import { floatData, openSession, runSession } from '../../src/engine/session.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { createTrainer, loadTrainingModel } from '../../src/training/create-trainer.ts';
import { layLines } from '../../src/training/lines.ts';
import { buildStepGraph, stepNames } from '../../src/training/step-graph.ts';
import { findQueries, RotaryFeeds, tokenFeeds } from '../../src/training/token-feeds.ts';
import { parameterFeeds } from '../../src/training/trainable.ts';
import type { NamedTensor, TrainerOptions } from '../../src/training/types.ts';
import { bitDifference } from '../helpers/numbers.ts';
import { tinyShape, writeTinyModel } from '../helpers/tiny-models.ts';
import { openTinyTrainer, smallLora, trainSteps } from '../helpers/tiny-trainer.ts';
import { randomRows } from '../helpers/training-rows.ts';

const rows = randomRows([17, 8, 12, 5], tinyShape.vocabSize, 'determinism');
const dropout: TrainerOptions = { method: { ...smallLora, dropout: 0.25 }, seed: 5 };

/** Names of tensors that differ in any bit. */
function differences(actual: readonly NamedTensor[], expected: readonly NamedTensor[]): string[] {
  return expected.flatMap(({ name, data }, i) => {
    const difference = bitDifference(actual[i]?.data, data);
    return difference === null ? [] : [`${name}: ${difference}`];
  });
}

describe('a training', () => {
  it.each<[string, TrainerOptions]>([
    ['LoRA with dropout', dropout],
    ['full, with SGD and momentum', { method: { kind: 'full' }, optimizer: { kind: 'sgd', momentum: 0.9 } }],
  ])('%s: gives the same bits again, and going on from a state', async (_, options) => {
    const [first, second, resumed] = await Promise.all([1, 2, 3].map(() => openTinyTrainer(options)));
    const losses = await trainSteps(first!, rows, 6);
    expect(await trainSteps(second!, rows, 3)).toEqual(losses.slice(0, 3));
    const state = second!.state();
    // Gathered gradients and later steps are no part of a state.
    await second!.accumulate(rows, 10);
    await resumed!.accumulate(rows, 10);
    resumed!.restore(state);
    await second!.update({ learningRate: 1 });
    expect(await trainSteps(resumed!, rows, 3)).toEqual(losses.slice(3));
    expect(differences(resumed!.parameters(), first!.parameters())).toEqual([]);
    expect(differences(second!.parameters(), first!.parameters())).not.toEqual([]);
  });

  it('starts from the seed', async () => {
    const [one, same, other] = await Promise.all(
      [5, 5, 6].map((seed) => openTinyTrainer({ method: smallLora, seed })),
    );
    expect(differences(same!.parameters(), one!.parameters())).toEqual([]);
    const changed = differences(other!.parameters(), one!.parameters());
    expect(changed).toHaveLength(7 * tinyShape.layers); // every A, and no B, which starts at zero
  });

  it('drops the same numbers of a row whatever lies beside it, and others at each step', async () => {
    const trainer = await openTinyTrainer(dropout);
    const together = await trainer.accumulate(rows, 10);
    const alone = await trainer.accumulate(rows.slice(1, 2), 10);
    expect(Math.abs(alone.loss / together.rowLosses[1]! - 1)).toBeLessThan(1e-5);
    await trainer.update({ learningRate: 0 });
    await trainer.accumulate(rows, 10);
    const gradients = trainer.gradients();
    await trainer.update({ learningRate: 0 });
    await trainer.accumulate(rows, 10);
    expect(differences(trainer.gradients(), gradients)).not.toEqual([]);
  });

  it.each<[string, TrainerOptions]>([
    ['LoRA', { method: { ...smallLora, dropout: 0.2 } }],
    ['full', { method: { kind: 'full' } }],
  ])(
    '%s: has the same gradients where blocks are computed again, interventions and all',
    async (_, options) => {
      const vector = new Float32Array(24).fill(0.3);
      const interventions = [{ layer: 1, vector, coef: 2 }];
      const trainers = await Promise.all(
        [false, true].map((recompute) => openTinyTrainer({ ...options, interventions, recompute })),
      );
      const [kept, again] = await Promise.all(
        trainers.map(async (trainer) => {
          await trainer.accumulate(rows, 10);
          return trainer.gradients();
        }),
      );
      expect(kept!.some(({ data }) => data.some((x) => x !== 0))).toBe(true);
      expect(differences(again!, kept!)).toEqual([]);
    },
  );

  it('refuses a state of another training, by name', async () => {
    const [small, large] = await Promise.all([
      openTinyTrainer({ method: smallLora }),
      openTinyTrainer({ method: { ...smallLora, rank: 4 } }),
    ]);
    expect(() => large.restore(small.state())).toThrow(
      /expected the state of the same training, with 96 numbers/,
    );
    expect(await trainSteps(large, rows, 1)).toEqual(await trainSteps(small, rows, 1));
  });

  it('changes nothing at a gradient that is not finite, and says so', async () => {
    const trainer = await openTinyTrainer({ method: { kind: 'full' } });
    const state = trainer.state();
    const broken = state.tensors.map((tensor) =>
      tensor.name.endsWith('norm.weight') ? { ...tensor, data: tensor.data.map(() => NaN) } : tensor,
    );
    trainer.restore({ ...state, tensors: broken });
    const before = trainer.parameters();
    await trainer.accumulate(rows, 10);
    expect((await trainer.update({ learningRate: 0.1 })).gradNorm).toBeNaN();
    expect(trainer.state().step).toBe(0);
    expect(trainer.parameters()).toEqual(before);
    trainer.restore(state);
    expect(await trainSteps(trainer, rows, 1)).toEqual(
      await trainSteps(await openTinyTrainer({ method: { kind: 'full' } }), rows, 1),
    );
  });
});

describe('the step graph of two stacked layers', () => {
  it.each<[string, TrainerOptions]>([
    ['LoRA', { method: smallLora }],
    ['full', { method: { kind: 'full' } }],
  ])('%s: has the same bits where the runtime may reuse no buffer', async (_, options) => {
    const folder = await writeTinyModel({ shape: { layers: 2 } });
    const checkpoint = await loadCheckpoint(folder);
    const model = await loadTrainingModel(checkpoint, options);
    const plan = { interventions: noInterventions, keep: 1, penalty: null, kl: 0, recompute: false };
    const graph = buildStepGraph(model, plan);
    // A value that is an output keeps its buffer to the end of the run.
    const keeping = { ...graph, outputs: graph.nodes.flatMap((node) => node.outputs) };
    const results: Float32Array[][] = [];
    for (const variant of [graph, keeping]) {
      const session = await openSession(variant, {
        threads: 1,
        packed: false,
        options: variant === graph ? {} : { enableMemPattern: false, enableCpuMemArena: false },
      });
      const { parameters } = model.trainable;
      const gathered = parameters.map(
        ({ shape, data }) => new Tensor('float32', new Float32Array(data.length), shape),
      );
      const fetches: Record<string, Tensor | null> = Object.fromEntries(
        variant.outputs.map(({ name }) => [name, null]),
      );
      // In place in one, into memory of its own in the other.
      if (variant === graph)
        parameters.forEach(({ name }, i) => (fetches[stepNames.next(name)] = gathered[i]!));
      const lines = layLines(rows, true);
      const queries = findQueries(lines);
      const feeds = {
        ...tokenFeeds(lines, queries, new RotaryFeeds(model.config)),
        ...parameterFeeds(parameters),
        ...Object.fromEntries(parameters.map(({ name }, i) => [stepNames.gathered(name), gathered[i]!])),
        [stepNames.weights]: new Tensor('float32', new Float32Array(queries.length).fill(0.1), [
          queries.length,
        ]),
      };
      const found = await runSession(session, feeds, fetches);
      results.push(parameters.map(({ name }) => floatData(found[stepNames.next(name)]).slice()));
      await session.release();
    }
    expect(results[0]!.map((gradient, i) => bitDifference(gradient, results[1]![i]))).toEqual(
      results[0]!.map(() => null),
    );
    await rm(folder, { recursive: true });
  });
});

describe('saving and going on', () => {
  it('writes an adapter that starts another training where this one ended', async () => {
    const folder = await writeTinyModel();
    const checkpoint = await loadCheckpoint(folder);
    const trainer = await createTrainer(checkpoint, { method: smallLora, threads: 1 });
    await trainSteps(trainer, rows, 2);
    const adapter = join(folder, 'adapter');
    await trainer.save(adapter);
    const next = await createTrainer(checkpoint, {
      method: { ...smallLora, initAdapter: adapter },
      threads: 1,
    });
    expect(differences(next.parameters(), trainer.parameters())).toEqual([]);
    const again = join(folder, 'again');
    await next.save(again);
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      expect(await readFile(join(again, file))).toEqual(await readFile(join(adapter, file)));
    await expect(
      createTrainer(checkpoint, { method: { ...smallLora, alpha: 7, initAdapter: adapter } }),
    ).rejects.toThrow(/expected an adapter with scale 2.33/);
    await expect(
      createTrainer(checkpoint, { method: { ...smallLora, targets: ['q_proj'], initAdapter: adapter } }),
    ).rejects.toThrow(/expected an adapter with no pair for 0\.k_proj/);
    const wider = await writeTinyModel({ shape: { width: 32 } });
    await expect(
      createTrainer(await loadCheckpoint(wider), { method: { ...smallLora, initAdapter: adapter } }),
    ).rejects.toThrow(
      /expected tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" of shape \[3, 32\]/,
    );
    await Promise.all([trainer.close(), next.close()]);
    await Promise.all([folder, wider].map((path) => rm(path, { recursive: true })));
  });
});
