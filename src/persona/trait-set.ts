import { UsageError } from '../errors.ts';
import { type ShippedTrait, shippedTraits } from '../store/shipped-traits.ts';
import { readModelNote } from './model-note.ts';

/** How a trait's name is understood: by the set that is given, else by the model's. */
export interface TraitNaming {
  /** Folder of `traits/`. */
  readonly set?: string | undefined;
  /** Folder of the model that the trait is for. */
  readonly modelFolder?: string | undefined;
}

/** The set for instruction-tuned models at large. */
export const DEFAULT_TRAIT_SET = 'default';

/**
 * The shipped trait of a name. One name may be in several sets, each written for another kind of model: the set is the
 * one that `naming` gives, else the one that the model's own `persona.json` names, else `default`.
 *
 * @throws UsageError for a set or a name that is not there, saying what is.
 */
export async function findShippedTrait(name: string, naming: TraitNaming = {}): Promise<ShippedTrait> {
  const inSet = await traitSet(naming);
  const found = inSet.find((trait) => trait.name === name);
  if (found !== undefined) return found;
  const elsewhere = (await shippedTraits()).filter((trait) => trait.name === name).map((trait) => trait.set);
  throw noSuchTrait(name, inSet, elsewhere);
}

/** All shipped traits of the set that `naming` gives, as `findShippedTrait` understands it; UsageError for an unknown set. */
export async function traitSet(naming: TraitNaming): Promise<ShippedTrait[]> {
  const set = naming.set ?? (await traitSetOf(naming.modelFolder));
  const shipped = await shippedTraits();
  const inSet = shipped.filter((trait) => trait.set === set);
  if (inSet.length === 0) throw noSuchSet(set, shipped);
  return inSet;
}

/**
 * The set of traits that is written for a model: what `persona.json` in its folder says, else `default`.
 *
 * @throws ParseError or UsageError when the file is there and does not name a set.
 */
export async function traitSetOf(modelFolder: string | undefined): Promise<string> {
  return (await readModelNote(modelFolder)).traitSet ?? DEFAULT_TRAIT_SET;
}

function noSuchSet(set: string, shipped: readonly ShippedTrait[]): UsageError {
  const sets = [...new Set(shipped.map((trait) => trait.set))].join(', ');
  return new UsageError(`Expected a set of traits that ships with this package (${sets}), got "${set}".`, {
    details: { set },
  });
}

function noSuchTrait(name: string, inSet: readonly ShippedTrait[], elsewhere: readonly string[]): UsageError {
  const names = inSet.map((trait) => trait.name).join(', ');
  const advice =
    elsewhere.length === 0
      ? ''
      : `; it is in the set ${elsewhere.join(' and ')}, for other models (--trait-set ${elsewhere[0]!})`;
  return new UsageError(
    `Expected a trait of the set ${inSet[0]!.set} (${names}) or the path of a .json file, got "${name}"${advice}.`,
    { details: { trait: name } },
  );
}
