import type { Adapter } from '../model/adapter.ts';
import { adaptCheckpoint, type Checkpoint } from '../model/checkpoint.ts';
import type { LanguageModel } from './model.ts';

/**
 * A loaded model with a LoRA adapter: `loadModel(base, { adapter })` for a base that is loaded already. It shares the base's
 * session, and closing it closes the base.
 *
 * @throws as `adaptCheckpoint`.
 */
export async function adaptedModel(model: LanguageModel, adapter: string): Promise<LanguageModel> {
  const checkpoint = await adaptCheckpoint(model.checkpoint, adapter);
  return underAdapter(model.adapter?.base ?? model, checkpoint, checkpoint.adapted!.adapter);
}

/** The base with the adapter in every call that names none. */
export function underAdapter(base: LanguageModel, checkpoint: Checkpoint, adapter: Adapter): LanguageModel {
  const withIt = <T extends object>(options: T): T => ({ adapter, ...options });
  return {
    checkpoint,
    precision: base.precision,
    adapter: { name: adapter.name, sha256: adapter.sha256, base },
    forward: (rows, options = {}) => base.forward(rows, withIt(options)),
    generate: (rows, options) => base.generate(rows, withIt(options)),
    scoreContinuations: (rows, options = {}) => base.scoreContinuations(rows, withIt(options)),
    close: () => base.close(),
  };
}
