import { loadCheckpoint, type Checkpoint } from '../model/checkpoint.ts';
import { type Trait, resolveTrait } from '../persona/trait.ts';
import { loadVector } from '../persona/vector-folder.ts';
import type { PersonaVector } from '../persona/vector.ts';

/** A model's files, one of its traits, and that trait's vector. */
export interface TraitAndVector {
  readonly checkpoint: Checkpoint;
  readonly trait: Trait;
  readonly vector: PersonaVector;
}

/**
 * Reads a model's files, an adapter's where one is named, a trait and its vector, which goes by the trait's name where none is named; no weight is loaded.
 *
 * @throws what each of them throws for what is not there.
 */
export async function readTraitAndVector(
  model: string,
  names: {
    readonly trait: string;
    readonly traitSet?: string | undefined;
    readonly vector?: string | undefined;
    readonly vectors?: string | undefined;
    readonly adapter?: string | undefined;
  },
): Promise<TraitAndVector> {
  const checkpoint = await loadCheckpoint(model, names.adapter);
  const trait = await resolveTrait(names.trait, { set: names.traitSet, modelFolder: checkpoint.folder });
  const vector = await loadVector(names.vector ?? trait.name, { folder: names.vectors });
  return { checkpoint, trait, vector };
}
