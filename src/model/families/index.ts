import type { Family } from './family.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { ModelError } from '../../errors.ts';

/** Every architecture that this package runs, by `model_type`. */
export const families: ReadonlyMap<string, Family> = new Map(
  [llama, mistral, qwen2, qwen3].map((family) => [family.modelType, family]),
);

/** The family of a `model_type`; an unknown one is a ModelError that lists the known ones. */
export function familyOf(modelType: string): Family {
  const family = families.get(modelType);
  if (family !== undefined) return family;
  const known = [...families.keys()].join(', ');
  throw new ModelError(
    `Expected a model_type of ${known}, got ${JSON.stringify(modelType.slice(0, 64))}; choose a checkpoint of one of these families.`,
    { details: { modelType, known } },
  );
}
