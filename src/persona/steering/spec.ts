import { z } from 'zod';
import { DataError } from '../../errors.ts';
import { isObject, parseStrict, readUserJson, refuseUnknownKeys } from '../../store/strict-json.ts';

/**
 * Where, when and how strongly a model is steered: the one form of the command line, the library and the server. A list
 * of entries, or an object with such a list and what holds for all of them.
 */
export interface SteeringSpec {
  /** In the order in which they act where they overlap. */
  readonly interventions: readonly SteeringEntry[];
  /** Folder in which vectors are found by name, such as `runs`. */
  readonly vectors?: string;
  /** File of `persona calibrate` that says what percentiles and z-scores are. */
  readonly baseline?: string;
  /** `clean`, the default: earlier replies are read unsteered; `steered`: as in a cache that is kept from turn to turn. */
  readonly history?: 'clean' | 'steered';
}

/** A projection, or where it lies among those of ordinary conversations. */
export type Threshold = number | { readonly percentile: number } | { readonly z: number };

/** A vector: its numbers `[width]`, the path of its file, or its name in the folder of vectors. */
export type VectorReference = string | readonly number[];

/** While this holds of a token's projection, the entry acts on the token after it. */
export interface SteeringCondition {
  /** Default: the entry's own vector. */
  readonly vector?: VectorReference;
  readonly pooling?: string;
  /** Default: the vector's recommended layer, or the entry's own where it has one. */
  readonly layer?: number;
  readonly above?: Threshold;
  readonly below?: Threshold;
}

interface EntryTarget {
  readonly vector: VectorReference;
  /** Which of a vector file's poolings; default: the one that it recommends. */
  readonly pooling?: string;
  /** One layer, several, or all: the default is the vector's recommended layer. */
  readonly layer?: number | readonly number[] | 'all';
  /** Default: what the model's folder recommends, else `response`. */
  readonly positions?: 'all' | 'prompt' | 'response' | 'boundary';
  readonly when?: SteeringCondition;
}
/** How strongly: a coefficient of the raw vector, a length, or a share of the residual stream's own norm. */
type Strength = { readonly coef: number } | { readonly norm: number } | { readonly fraction: number };
/** h ← h + α v; with `keep_norm` the residual turns and keeps its length. */
export type AddEntry = EntryTarget & Strength & { readonly keep_norm?: true };
/** Takes the direction out. */
export type AblateEntry = EntryTarget & { readonly ablate: true };
/** Keeps the projection below, above, or at a value. */
export type ClampEntry = EntryTarget &
  (
    | { readonly cap: Threshold }
    | { readonly floor: Threshold }
    | { readonly pin: Threshold }
    | { readonly min?: Threshold; readonly max?: Threshold }
  );
export type SteeringEntry = AddEntry | AblateEntry | ClampEntry;

const threshold = z.union(
  [z.number(), z.strictObject({ percentile: z.number().min(0).max(100) }), z.strictObject({ z: z.number() })],
  'expected a number, {"percentile": p} or {"z": z}',
);
const vectorReference = z.union(
  [z.string().min(1), z.array(z.number()).min(1)],
  'expected the name or file of a vector, or its numbers',
);
const layer = z.int().min(1);
const condition = {
  vector: vectorReference.exactOptional(),
  pooling: z.string().exactOptional(),
  layer: layer.exactOptional(),
  above: threshold.exactOptional(),
  below: threshold.exactOptional(),
};
const target = {
  vector: vectorReference,
  pooling: z.string().exactOptional(),
  layer: z
    .union([layer, z.array(layer).min(1), z.literal('all')], 'expected a layer, a list of layers, or "all"')
    .exactOptional(),
  positions: z.enum(['all', 'prompt', 'response', 'boundary']).exactOptional(),
  when: z.strictObject(condition).exactOptional(),
};
const strength = { ...target, keep_norm: z.literal(true).exactOptional() };

/** What each kind of entry has beside the keys that all share; exactly one of these has to be there. */
const kinds = {
  coef: z.strictObject({ ...strength, coef: z.number() }),
  norm: z.strictObject({ ...strength, norm: z.number() }),
  fraction: z.strictObject({ ...strength, fraction: z.number() }),
  ablate: z.strictObject({ ...target, ablate: z.literal(true) }),
  cap: z.strictObject({ ...target, cap: threshold }),
  floor: z.strictObject({ ...target, floor: threshold }),
  pin: z.strictObject({ ...target, pin: threshold }),
  range: z.strictObject({ ...target, min: threshold.exactOptional(), max: threshold.exactOptional() }),
} as const satisfies Record<string, z.ZodType<SteeringEntry>>;
type Kind = keyof typeof kinds;
const kindKeys = (kind: Kind): readonly string[] => (kind === 'range' ? ['min', 'max'] : [kind]);
const allKinds = Object.keys(kinds) as Kind[];
/** The keys that say what an entry does; it has those of one kind. */
export const steeringForms: readonly string[] = allKinds.flatMap(kindKeys);
const entryKeys = [...Object.keys(strength), ...steeringForms];
const specKeys = ['interventions', 'vectors', 'baseline', 'history'];
const specOptions = z.object({
  vectors: z.string().min(1).exactOptional(),
  baseline: z.string().min(1).exactOptional(),
  history: z.enum(['clean', 'steered']).exactOptional(),
});

/**
 * Reads a steering spec from a JSON file.
 *
 * @throws DataError naming the entry and the key; whether vectors, layers and widths fit, `resolveSteering` says.
 */
export async function readSteering(file: string): Promise<SteeringSpec> {
  return parseSteering(await readUserJson(file), `"${file}"`);
}

/** A steering spec from a JSON value; `where` begins the sentence of an error. */
export function parseSteering(value: unknown, where: string): SteeringSpec {
  const refuse = (got: string): never => {
    throw new DataError(`${where}: expected a list of interventions, or an object with one, got ${got}.`, {
      details: { where },
    });
  };
  if (!isObject(value) && !Array.isArray(value)) return refuse(value === null ? 'null' : typeof value);
  if (Array.isArray(value)) return { interventions: parseEntries(value, where) };
  refuseUnknownKeys(value, specKeys, where);
  const { interventions, ...options } = value;
  if (!Array.isArray(interventions)) return refuse('an object without "interventions"');
  return { interventions: parseEntries(interventions, where), ...parseStrict(specOptions, options, where) };
}

function parseEntries(list: readonly unknown[], where: string): SteeringEntry[] {
  return list.map((entry, index) => parseEntry(entry, `${where}, intervention ${index + 1}`));
}

function parseEntry(entry: unknown, where: string): SteeringEntry {
  const details = { where };
  if (!isObject(entry)) throw new DataError(`${where}: expected an object.`, { details });
  refuseUnknownKeys(entry, entryKeys, where);
  const given = allKinds.filter((kind) => kindKeys(kind).some((key) => key in entry));
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    const got = kind === undefined ? 'none of them' : given.flatMap(kindKeys).join(' and ');
    throw new DataError(
      `${where}: expected exactly one of a strength ("coef", "norm" or "fraction"), "ablate": true, "cap", "floor", "pin", or "min"/"max", got ${got}.`,
      { details },
    );
  }
  if (isObject(entry['when'])) {
    refuseUnknownKeys(entry['when'], Object.keys(condition), `${where}, "when"`);
    if (!('above' in entry['when'] || 'below' in entry['when']))
      throw new DataError(`${where}, "when": expected "above" or "below", got neither.`, { details });
  }
  return parseStrict<SteeringEntry>(kinds[kind], entry, where);
}
