/** Training steps: forward, backward and update of two rows, LoRA on all seven projections or all weights. */

import type { Checkpoint } from '../src/model/checkpoint.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import { createTrainer } from '../src/training/create-trainer.ts';
import type { Trainer, TrainerOptions, TrainingRow } from '../src/training/types.ts';
import { type Comparison, type Part, productsName, rowIds, type Variant, whole } from './part.ts';
import type { Peer, PeerDtype } from './peer.ts';
import { headOperations, type Products, type Settings } from './products.ts';

/** What a step trains on; a quarter of each row is prompt. */
export const trainWork = { rows: 2, tokens: 256, rank: 32, alpha: 64 } as const;

export type TrainMethod = 'lora' | 'full';

/**
 * Products of a step for each product of its forward pass: the gradient of what goes in, and in full training the
 * gradient of the weight.
 */
const passes: Readonly<Record<TrainMethod, number>> = { lora: 2, full: 3 };

const ourName = 'one step, AdamW';
const peerName = (dtype: PeerDtype): string => `PEFT on PyTorch ${dtype}, one step`;

/** As the shared settings say it, for a trainer. */
export function trainerOptions(method: TrainMethod, { threads, dtype, blockSize }: Settings): TrainerOptions {
  if (dtype === 'int4') throw new Error('expected fp32 or int8, got int4, which is not trained on');
  const { rank, alpha } = trainWork;
  return {
    method: method === 'full' ? { kind: 'full' } : { kind: 'lora', rank, alpha, rankStabilised: true },
    maxGradNorm: 1,
    dtype,
    blockSize,
    threads,
  };
}

/** One optimiser step on the benchmark's rows. */
export async function trainStep(trainer: Trainer, { config }: Checkpoint): Promise<void> {
  const rows = rowsOf(config.vocabSize);
  const scale = rows.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b), 0);
  const { loss } = await trainer.accumulate(rows, scale);
  const { gradNorm } = await trainer.update({ learningRate: 1e-5 });
  if (!Number.isFinite(loss) || !(gradNorm > 0))
    throw new Error(`expected a step that learns, got a loss of ${loss} and a gradient of norm ${gradNorm}`);
}

/** A trainer and the part that times it; the caller closes the trainer. */
export async function trainPart(
  checkpoint: Checkpoint,
  products: Products,
  peer: Peer | null,
  method: TrainMethod,
  settings: Settings,
): Promise<{ readonly part: Part; readonly trainer: Trainer }> {
  const trainer = await createTrainer(checkpoint, trainerOptions(method, settings));
  const tokens = trainWork.rows * trainWork.tokens;
  const targets = tokens - trainWork.rows * promptTokens;
  const forward = tokens * operationsPerToken(checkpoint) + targets * headOperations(checkpoint);
  const variant = (name: string, run: Variant['run']): Variant => ({
    name,
    tokens,
    operations: passes[method] * forward,
    run,
  });
  const ceiling = async (): Promise<void> => {
    for (let pass = 0; pass < passes[method]; pass++) await products.run(tokens, targets);
  };
  const isCompared = peer !== null && method === 'lora';
  const peers = (isCompared ? peer.dtypes : []).map((dtype) =>
    variant(peerName(dtype), () => peer!.train(dtype, trainWork)),
  );
  const part: Part = {
    title: `${method === 'lora' ? `LoRA of rank ${trainWork.rank}` : 'all weights'}, a step of ${trainWork.rows} × ${trainWork.tokens} tokens`,
    // The runtime sees in the first run what memory a step needs, and takes it in the second.
    warmUps: 2,
    variants: [
      variant(productsName, whole(ceiling)),
      variant(
        ourName,
        whole(() => trainStep(trainer, checkpoint)),
      ),
      ...peers,
    ],
    comparisons: compare(method, settings.dtype === 'fp32', isCompared ? peer.dtypes : []),
  };
  return { part, trainer };
}

const promptTokens = trainWork.tokens / 4;

function rowsOf(vocabSize: number): TrainingRow[] {
  return Array.from({ length: trainWork.rows }, (_, i) => ({
    key: String(i),
    ids: rowIds(trainWork.tokens, vocabSize, i),
    weights: Float32Array.from({ length: trainWork.tokens }, (__, at) => (at < promptTokens ? 0 : 1)),
    promptLength: promptTokens,
  }));
}

function compare(method: TrainMethod, isFp32: boolean, peers: readonly PeerDtype[]): Comparison[] {
  const share: Comparison = {
    label: 'share of products',
    variant: ourName,
    against: [productsName],
    ...(method === 'lora' && isFp32 ? { target: 0.65 } : {}),
  };
  if (peers.length === 0) return [share];
  const against = peers.map(peerName);
  return [
    share,
    {
      label: 'against PEFT, float32',
      variant: ourName,
      against: [peerName('float32')],
      ...(isFp32 ? { target: 1.5 } : {}),
    },
    { label: 'against PEFT, the faster dtype', variant: ourName, against },
  ];
}
