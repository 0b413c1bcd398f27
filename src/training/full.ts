import type { Checkpoint } from '../model/checkpoint.ts';
import { readWeight } from '../model/read-weights.ts';
import { weightSources } from '../model/weights.ts';
import { fuseWeights } from './fused.ts';
import { saveModel } from './save-model.ts';
import type { Parameter, Trainable } from './trainable.ts';
import type { FullMethod } from './types.ts';

/**
 * Every weight of the model, under its tensor's name. Tied embeddings are one tensor, whose gradient has both parts.
 * Weight decay acts on matrices, the embedding among them, and not on norm gains and biases, as Hugging Face's trainer
 * has it.
 */
export async function fullTrainable(checkpoint: Checkpoint, method: FullMethod): Promise<Trainable> {
  const parameters: Parameter[] = [];
  for (const source of weightSources(checkpoint.weights)) {
    parameters.push({
      name: source.name,
      shape: source.shape,
      data: await readWeight(source),
      decays: source.shape.length > 1,
    });
  }
  return {
    parameters,
    parts: (_, values) => ({ given: values, adapt: (_block, _projection, _x, y) => y }),
    save: (folder) =>
      saveModel(
        folder,
        checkpoint,
        fuseWeights(checkpoint.config, checkpoint.weights, parameters),
        method.saveDtype ?? 'F32',
      ),
  };
}
