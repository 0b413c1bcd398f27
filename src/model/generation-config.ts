import { join } from 'node:path';
import type { ModelConfig } from './config.ts';
import { readJsonObject } from './json-text.ts';
import type { Json } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { pathKind } from './read-bytes.ts';
import { ModelError } from '../errors.ts';

/** Longest `generation_config.json` that is read: those in use have a few hundred bytes. */
const MAX_BYTES = 1_000_000;

/** How a checkpoint asks to be sampled from; what it does not say is absent. */
export interface GenerationDefaults {
  /** Tokens that end a reply. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | null;
  readonly padTokenId: number | null;
  readonly doSample?: boolean;
  /** 0 is greedy. */
  readonly temperature?: number;
  /** In (0, 1]. */
  readonly topP?: number;
  /** At least 1; files say 0 or −1 where all tokens are kept. */
  readonly topK?: number;
  readonly repetitionPenalty?: number;
}

/**
 * `generation_config.json` of a model folder; what it does not say about tokens, or all where there is none, is taken from
 * config.json.
 *
 * @throws ParseError for a malformed file; ModelError for a token id that the model does not have.
 */
export async function loadGenerationDefaults(
  folder: string,
  config: ModelConfig,
): Promise<GenerationDefaults> {
  const file = join(folder, 'generation_config.json');
  const exists = (await pathKind(file)) !== null;
  return generationDefaults(jsonFields(exists ? await readJsonObject(file, MAX_BYTES) : {}, file), config);
}

/** The defaults in the fields of the file; errors as `loadGenerationDefaults`. */
export function generationDefaults(fields: JsonFields, config: ModelConfig): GenerationDefaults {
  const tokenId = (name: string): number | undefined => {
    const id = fields.raw(name);
    if (id === undefined) return undefined;
    if (!isId(id)) throw fields.wrong(name, 'a token id');
    return checkId(id, name, fields, config);
  };
  const topK = fields.optionalInteger('top_k', -1, Number.MAX_SAFE_INTEGER);
  return {
    eosTokenIds: eosTokenIds(fields, config) ?? config.eosTokenIds,
    bosTokenId: tokenId('bos_token_id') ?? config.bosTokenId,
    padTokenId: tokenId('pad_token_id') ?? config.padTokenId,
    ...present('doSample', fields.optionalBoolean('do_sample')),
    ...present('temperature', temperature(fields)),
    ...present('topP', fields.optionalNumber('top_p', 0, 1)),
    ...present('topK', topK === undefined || topK < 1 ? undefined : topK),
    ...present('repetitionPenalty', fields.optionalNumber('repetition_penalty', 0, Number.MAX_VALUE)),
  };
}

/** One id or a list of them. */
function eosTokenIds(fields: JsonFields, config: ModelConfig): number[] | undefined {
  const name = 'eos_token_id';
  const found = fields.raw(name);
  if (found === undefined) return undefined;
  const ids: readonly Json[] = Array.isArray(found) ? found : [found];
  return ids.map((id) => {
    if (!isId(id)) throw fields.wrong(name, 'a token id or a list of them');
    return checkId(id, name, fields, config);
  });
}

function checkId(id: number, name: string, fields: JsonFields, config: ModelConfig): number {
  if (id < config.vocabSize) return id;
  throw new ModelError(
    `"${fields.file}": expected "${name}" below the model's ${config.vocabSize} tokens, got ${id}; use the file that belongs to the model.`,
    { details: { file: fields.file, field: name, expected: config.vocabSize, got: id } },
  );
}

function temperature(fields: JsonFields): number | undefined {
  const name = 'temperature';
  return fields.raw(name) === 0 ? 0 : fields.optionalNumber(name, 0, Number.MAX_VALUE);
}

function isId(value: Json): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** An object with the field, or without it where there is no value. */
function present<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [key in Name]?: Value });
}
