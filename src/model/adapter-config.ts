import { jsonFields, unsupported } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { describeJson, isJsonObject } from './json-text.ts';
import type { Json, JsonObject } from './json-text.ts';

/** What adapter_config.json of PEFT says about a LoRA adapter. */
export interface AdapterConfig {
  readonly rank: number;
  readonly alpha: number;
  /** rs-LoRA: the scale is alpha / √rank instead of alpha / rank. */
  readonly rankStabilised: boolean;
  /** Ranks and alphas of single modules; the first entry that fits a module counts. */
  readonly rankPattern: readonly ModulePattern[];
  readonly alphaPattern: readonly ModulePattern[];
  /** Suffixes of module paths; null where a pattern chooses, so that only the tensors tell. */
  readonly targetModules: readonly string[] | 'all-linear' | null;
  readonly excludedModules: readonly string[];
  /** Blocks that are adapted, from 0; null for all. */
  readonly layers: readonly number[] | null;
}

interface ModulePattern {
  /** A module path or its end. */
  readonly module: string;
  readonly whole: boolean;
  readonly value: number;
}

const limits = {
  /** PEFT's own examples go to 256; a rank beyond the width of any model makes no sense. */
  rank: 65_536,
  alpha: 1e6,
  layer: 1023,
  /** Entries of a list: seven projections of a thousand blocks, each named whole. */
  entries: 10_000,
} as const;

/**
 * Reads adapter_config.json.
 *
 * @param file names the file in errors.
 * @throws ModelError for a kind of adapter or an option that changes the computation and is not supported; ParseError
 *   for a value that cannot be.
 */
export function parseAdapterConfig(json: JsonObject, file: string): AdapterConfig {
  const fields = jsonFields(json, file);
  const type = fields.optionalString('peft_type');
  if (type !== 'LORA') throw unsupported(fields, 'peft_type', '"LORA"', type);
  refuseUnsupported(fields);
  return {
    rank: fields.integer('r', 1, limits.rank),
    alpha: fields.number('lora_alpha', 0, limits.alpha),
    rankStabilised: fields.optionalBoolean('use_rslora') ?? false,
    rankPattern: parsePattern(fields, 'rank_pattern', (inner, key) => inner.integer(key, 1, limits.rank)),
    alphaPattern: parsePattern(fields, 'alpha_pattern', (inner, key) => inner.number(key, 0, limits.alpha)),
    targetModules: parseTargets(fields),
    excludedModules: parseExcluded(fields),
    layers: parseLayers(fields),
  };
}

/** Rank of the pair that adapts `module`, such as `model.layers.0.self_attn.q_proj`. */
export function adapterRank(config: AdapterConfig, module: string): number {
  return patternValue(config.rankPattern, module) ?? config.rank;
}

/** What the product of the two matrices is multiplied by: alpha / rank, or alpha / √rank with rs-LoRA. */
export function adapterScale(config: AdapterConfig, module: string): number {
  const rank = adapterRank(config, module);
  const alpha = patternValue(config.alphaPattern, module) ?? config.alpha;
  return alpha / (config.rankStabilised ? Math.sqrt(rank) : rank);
}

/** Whether the module of block `layer` (from 0) is adapted; null where only the tensors tell. */
export function isTargeted(config: AdapterConfig, module: string, layer: number): boolean | null {
  if (config.layers !== null && !config.layers.includes(layer)) return false;
  if (config.excludedModules.some((suffix) => endsWithModule(module, suffix))) return false;
  if (config.targetModules === null) return null;
  if (config.targetModules === 'all-linear') return true;
  return config.targetModules.some((suffix) => endsWithModule(module, suffix));
}

/** Values of a key under which the adapter is the plain product that the engine computes. */
type PlainTest = (value: Json) => boolean;

const isOff: PlainTest = (value) => value === false;
const isEmpty: PlainTest = (value) =>
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0);

/** Options that change what the tensors mean, and what is asked of each (absent and null always pass). */
const plainOptions: readonly (readonly [name: string, expected: string, test: PlainTest])[] = [
  ['bias', '"none"', (value) => value === 'none'],
  ['lora_bias', 'false', isOff],
  ['fan_in_fan_out', 'false', isOff],
  ['modules_to_save', 'empty', isEmpty],
  ['layer_replication', 'empty', isEmpty],
  ['target_parameters', 'empty', isEmpty],
  ['trainable_token_indices', 'empty', isEmpty],
  ['alora_invocation_tokens', 'empty', isEmpty],
  ['arrow_config', 'empty', isEmpty],
  ['kasa_config', 'empty', isEmpty],
  ['monteclora_config', 'empty', isEmpty],
  ['velora_config', 'empty', isEmpty],
  [
    'layers_pattern',
    '"layers"',
    (value) => isEmpty(value) || value === '' || value === 'layers' || describeJson(value) === '["layers"]',
  ],
  // PiSSA, OLoRA, CorDA and LoftQ also change the base model's weights when training starts.
  [
    'init_lora_weights',
    'an initialisation that leaves the base weights as they are (true, false, "gaussian", "orthogonal", "eva")',
    (value) =>
      typeof value === 'boolean' || value === 'gaussian' || value === 'orthogonal' || value === 'eva',
  ],
];

function refuseUnsupported(fields: JsonFields): void {
  // Variants of LoRA are switched on by keys of this form: use_dora, use_qalora, use_bdlora, and those to come.
  for (const name of fields.names) {
    const isVariant = name.startsWith('use_') && name !== 'use_rslora';
    if (isVariant && !isEmpty(fields.raw(name)!)) throw unsupported(fields, name, 'false', fields.raw(name));
  }
  for (const [name, expected, test] of plainOptions) {
    const value = fields.raw(name);
    if (value !== undefined && !test(value)) throw unsupported(fields, name, expected, value);
  }
}

function parseTargets(fields: JsonFields): AdapterConfig['targetModules'] {
  const value = fields.raw('target_modules');
  if (value === 'all-linear') return value;
  // PEFT takes any other text as a pattern of its regular expressions, which are not run here.
  if (typeof value === 'string') return null;
  return stringList(fields, 'target_modules', value);
}

function parseExcluded(fields: JsonFields): readonly string[] {
  const value = fields.raw('exclude_modules');
  if (typeof value === 'string') throw unsupported(fields, 'exclude_modules', 'a list of names', value);
  return value === undefined ? [] : stringList(fields, 'exclude_modules', value);
}

function parseLayers(fields: JsonFields): readonly number[] | null {
  const value = fields.raw('layers_to_transform');
  if (value === undefined) return null;
  const layers = Array.isArray(value) ? (value as readonly Json[]) : [value];
  const isLayer = (layer: Json): layer is number =>
    typeof layer === 'number' && Number.isInteger(layer) && layer >= 0 && layer <= limits.layer;
  if (!layers.every(isLayer)) {
    throw fields.wrong('layers_to_transform', `a block's index from 0 to ${limits.layer}, or a list of them`);
  }
  // An empty list means to PEFT what an absent one does.
  return layers.length === 0 ? null : layers;
}

/** PEFT reads the keys as regular expressions; those that only spell a path are taken, others refused. */
function parsePattern(
  fields: JsonFields,
  name: string,
  read: (inner: JsonFields, key: string) => number,
): ModulePattern[] {
  const inner = fields.optionalObject(name);
  return (inner?.names ?? []).map((key) => {
    const match = /^(?<whole>\^?)(?<module>[\w.]{1,256})$/.exec(key)?.groups;
    if (inner === undefined || match?.['module'] === undefined) {
      throw unsupported(fields, name, 'an object whose keys are module names', key);
    }
    return { module: match['module'], whole: match['whole'] === '^', value: read(inner, key) };
  });
}

function stringList(fields: JsonFields, name: string, value: Json | undefined): readonly string[] {
  const isText = (entry: Json): entry is string => typeof entry === 'string';
  if (!Array.isArray(value) || value.length > limits.entries || !value.every(isText)) {
    throw fields.wrong(name, `a list of at most ${limits.entries} module names`);
  }
  return value;
}

function patternValue(patterns: readonly ModulePattern[], module: string): number | undefined {
  return patterns.find((entry) =>
    entry.whole ? entry.module === module : endsWithModule(module, entry.module),
  )?.value;
}

function endsWithModule(module: string, suffix: string): boolean {
  return module === suffix || module.endsWith(`.${suffix}`);
}
