import { join } from 'node:path';
import { loadAdapter } from '../model/adapter.ts';
import { findModelFolder } from '../model/hub-cache.ts';
import { describeArtifact } from '../store/manifest.ts';
import type { LanguageModel } from './model.ts';

/**
 * The model with a LoRA adapter in every call that names none: one for functions that take a model and know of no
 * adapters. It shares the model's session, and closing it closes the model. `adapter` is a folder in PEFT's layout, or a
 * name in the local Hub cache; the model's id becomes `model+adapter`.
 *
 * @throws as `loadAdapter`.
 */
export async function adaptedModel(model: LanguageModel, adapter: string): Promise<LanguageModel> {
  const { checkpoint, precision } = model;
  const loaded = await loadAdapter(adapter, checkpoint.config);
  const { folder } = await findModelFolder(adapter);
  const { sha256 } = await describeArtifact(join(folder, 'adapter_model.safetensors'));
  const withIt = <T extends object>(options: T): T => ({ adapter: loaded, ...options });
  return {
    checkpoint: { ...checkpoint, id: `${checkpoint.id}+${loaded.name}` },
    precision,
    adapter: { name: loaded.name, sha256 },
    forward: (rows, options = {}) => model.forward(rows, withIt(options)),
    generate: (rows, options) => model.generate(rows, withIt(options)),
    scoreContinuations: (rows, options = {}) => model.scoreContinuations(rows, withIt(options)),
    close: () => model.close(),
  };
}
