import { z } from 'zod';
import type { Intervention } from '../engine/types.ts';
import { DataError } from '../errors.ts';
import { isObject, parseStrict, readUserJson, refuseUnknownKeys } from '../store/strict-json.ts';

/** Keys of each kind of entry beside those that all share. */
const kindKeys = { add: ['coef'], ablate: ['ablate'], clamp: ['min', 'max'] } as const;
type Kind = keyof typeof kindKeys;
const knownKeys = ['layer', 'vector', 'coef', 'ablate', 'min', 'max', 'positions'];

const target = {
  layer: z.int().min(1),
  vector: z.array(z.number()).min(1),
  positions: z.enum(['all', 'prompt', 'response', 'boundary']).exactOptional(),
};
const schemas: Readonly<Record<Kind, z.ZodType<Intervention>>> = {
  add: z.strictObject({ ...target, coef: z.number() }),
  ablate: z.strictObject({ ...target, ablate: z.literal(true) }),
  clamp: z.strictObject({ ...target, min: z.number().exactOptional(), max: z.number().exactOptional() }),
};

/**
 * Interventions as a JSON file lists them: `{"layer":l,"vector":[…],"coef":c}` adds c·v, `"ablate":true` takes the
 * direction out, `"min"` and `"max"` clamp the projection on v/‖v‖; each may say `"positions"`.
 *
 * @throws DataError naming the entry; whether layer and width fit the model is for the engine to say.
 */
export async function readInterventions(file: string): Promise<Intervention[]> {
  const value = await readUserJson(file);
  if (!Array.isArray(value)) {
    throw new DataError(
      `"${file}": expected a list of interventions, got ${isObject(value) ? 'an object' : typeof value}.`,
      {
        details: { file },
      },
    );
  }
  return value.map((entry: unknown, index) =>
    parseIntervention(entry, `"${file}", intervention ${index + 1}`),
  );
}

/** One entry of the list; `where` begins the sentence of an error. */
export function parseIntervention(entry: unknown, where: string): Intervention {
  if (!isObject(entry)) throw new DataError(`${where}: expected an object.`, { details: { where } });
  refuseUnknownKeys(entry, knownKeys, where);
  const kinds = (Object.keys(kindKeys) as Kind[]).filter((kind) =>
    kindKeys[kind].some((key) => key in entry),
  );
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const got = kind === undefined ? 'none of them' : 'several';
    throw new DataError(
      `${where}: expected exactly one of "coef", "ablate": true, or "min"/"max", got ${got}.`,
      {
        details: { where },
      },
    );
  }
  return parseStrict(schemas[kind], entry, where);
}
