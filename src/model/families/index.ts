import type { Family } from './family.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3Text } from './gemma3-text.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { ModelError } from '../../errors.ts';

/** Every architecture that this package runs, by `model_type`. */
export const families: ReadonlyMap<string, Family> = new Map(
  [llama, mistral, qwen2, qwen3, gemma2, gemma3Text, phi3, olmo2].map((family) => [family.modelType, family]),
);

/** The family of a `model_type`; an unknown one is a ModelError that lists the known ones. */
export function familyOf(modelType: string): Family {
  const family = families.get(modelType);
  if (family !== undefined) return family;
  const known = [...families.keys()].join(', ');
  throw new ModelError(
    `Expected a model_type of ${known}, got ${JSON.stringify(modelType.slice(0, 64))}; choose a checkpoint of one of these families, or add the family ("How a family is added" in docs/models.md).`,
    { details: { modelType, known } },
  );
}
