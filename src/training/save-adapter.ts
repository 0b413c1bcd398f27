import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint } from '../model/checkpoint.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { projections } from '../model/weights.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { type AdaptedProduct, fuseAdapter, moduleName } from './fused.ts';
import type { LoraMethod } from './types.ts';

/**
 * Writes an adapter as PEFT does: adapter_model.safetensors, then adapter_config.json, each whole or not at all. The
 * folder is made where it is missing.
 */
export async function saveAdapter(
  folder: string,
  checkpoint: Checkpoint,
  method: LoraMethod,
  pairs: readonly AdaptedProduct[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { tensors, products } = fuseAdapter(checkpoint.config, pairs);
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  const text = `${JSON.stringify(adapterConfig(checkpoint, method, products), null, 2)}\n`;
  await writeFileAtomically(join(folder, 'adapter_config.json'), async (handle) => {
    await handle.writeFile(text);
  });
}

/** Every key that PEFT's loader wants, with the values that mean "plain LoRA". */
function adapterConfig(
  checkpoint: Checkpoint,
  method: LoraMethod,
  products: ReadonlyMap<string, number>,
): Record<string, unknown> {
  const targets = projections.filter((name) => method.targets?.includes(name) ?? true);
  // Of n products in one module the rank is n-fold, and the scale has to stay what it was in training.
  const growth = (n: number): number => (method.rankStabilised === true ? Math.sqrt(n) : n);
  const perModule = (of: (n: number) => number): Record<string, number> =>
    Object.fromEntries([...products].map(([name, n]) => [name, of(n)]));
  return {
    alpha_pattern: perModule((n) => method.alpha * growth(n)),
    auto_mapping: null,
    base_model_name_or_path:
      checkpoint.revision === null ? (checkpoint.file ?? checkpoint.folder) : checkpoint.id,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: method.blocks ?? null,
    lora_alpha: method.alpha,
    lora_dropout: method.dropout ?? 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: method.rank,
    rank_pattern: perModule((n) => method.rank * n),
    revision: checkpoint.revision,
    target_modules: [
      ...new Set(targets.map((projection) => moduleName(checkpoint.config, { block: 0, projection }))),
    ],
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: method.rankStabilised ?? false,
  };
}
