import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Family } from './families/family.ts';
import { ggufConfig, ggufFamily, metadataFields, tokenId } from './gguf-config.ts';
import { type GgufEntry, type GgufHeader, readGgufHeader } from './gguf-header.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import type { JsonObject } from './json-text.ts';
import { resolveLinks } from './read-bytes.ts';
import { readWeight } from './read-weights.ts';
import type { StoredTensor, StoredTensors } from './weight-files.ts';
import { ModelError } from '../errors.ts';

/** A model in GGUF, in the words of a folder in Hugging Face layout. */
export interface GgufModel {
  /** `config.json`, `generation_config.json` and, where the file has a tokenizer, its two, by name. */
  readonly documents: ReadonlyMap<string, JsonObject>;
  /** All tensors under the names that the family's checkpoints have in Hugging Face layout. */
  readonly stored: StoredTensors;
}

/**
 * Reads all that a GGUF file says about its model; no weight is loaded. A model in several files (`…-00001-of-00003.gguf`)
 * is named by the first of them.
 *
 * @throws ModelError for a model that cannot be run; ParseError for a malformed file.
 */
export async function readGgufModel(file: string): Promise<GgufModel> {
  const headers = await readParts(file);
  const [first] = headers as [GgufHeader, ...GgufHeader[]];
  const whole = { ...first, tensors: mergeTensors(headers) };
  const fields = metadataFields(first);
  const family = ggufFamily(fields);
  const stored = await storeTensors(headers, family, whole);
  const config = ggufConfig(whole, await readRotaryFactors(stored));
  const tokenizer = ggufTokenizer(fields);
  const ends = new Set([tokenId(fields, 'eos'), tokenId(fields, 'eot'), ...(tokenizer?.otherEnds ?? [])]);
  const documents: [string, object][] = [
    ['config.json', config],
    [
      'generation_config.json',
      {
        bos_token_id: tokenId(fields, 'bos'),
        eos_token_id: [...ends].filter((id) => id !== null),
        pad_token_id: tokenId(fields, 'padding'),
      },
    ],
  ];
  if (tokenizer !== null)
    documents.push(['tokenizer.json', tokenizer.document], ['tokenizer_config.json', tokenizer.config]);
  return { documents: new Map(documents as [string, JsonObject][]), stored };
}

/** Half the size of a head: some dozen numbers. */
const MAX_ROTARY_FACTORS = 4096;

/** What the file divides the rotary frequencies by; null where it has nothing of the kind. */
async function readRotaryFactors({ tensors }: StoredTensors): Promise<Float32Array | null> {
  const stored = tensors.get('rope_freqs.weight');
  if (stored === undefined) return null;
  const { dtype, shape, file, name } = stored;
  if (dtype === 'F32' && shape.length === 1 && shape[0]! <= MAX_ROTARY_FACTORS)
    return readWeight({ ...stored, dtype });
  throw new ModelError(
    `"${file}": expected "${name}" to be a vector of at most ${MAX_ROTARY_FACTORS} numbers in F32, got ${dtype} of shape [${shape.join(', ')}]; choose another file.`,
    { details: { file, tensor: name } },
  );
}

const PART = /-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/;

/** The headers of a model's files, the named one first. */
async function readParts(file: string): Promise<GgufHeader[]> {
  const first = await readGgufHeader(file);
  const fields = metadataFields(first);
  const count = fields.optionalInteger('split.count', 0, 99_999) ?? 1;
  if (count <= 1) return [first];
  const { number, count: named } = PART.exec(basename(file))?.groups ?? {};
  if (Number(number) !== 1 || Number(named) !== count)
    throw new ModelError(
      `"${file}" is one of ${count} files of a model; name the first, whose name ends in -00001-of-${String(count).padStart(5, '0')}.gguf.`,
      { details: { file, count } },
    );
  const names = Array.from({ length: count - 1 }, (_, i) =>
    basename(file).replace(PART, `-${String(i + 2).padStart(5, '0')}-of-${named}.gguf`),
  );
  const there = new Set(await readdir(dirname(file)));
  const missing = names.find((name) => !there.has(name));
  if (missing !== undefined)
    throw new ModelError(`Expected "${missing}" beside "${file}", got no such file; download all ${count}.`, {
      details: { file, missing },
    });
  return [first, ...(await Promise.all(names.map((name) => readGgufHeader(join(dirname(file), name)))))];
}

function mergeTensors(headers: readonly GgufHeader[]): ReadonlyMap<string, GgufEntry> {
  const tensors = new Map<string, GgufEntry>();
  for (const header of headers)
    for (const [name, entry] of header.tensors) {
      if (tensors.has(name))
        throw new ModelError(
          `Expected every tensor in one file, got "${name}" twice; download the files again.`,
          {
            details: { file: header.file, tensor: name },
          },
        );
      tensors.set(name, entry);
    }
  return tensors;
}

async function storeTensors(
  headers: readonly GgufHeader[],
  family: Family,
  whole: GgufHeader,
): Promise<StoredTensors> {
  const fields = metadataFields(whole);
  const count = (name: string): number | undefined =>
    fields.optionalInteger(`${family.modelType}.attention.${name}`, 1, Number.MAX_SAFE_INTEGER);
  const heads = count('head_count');
  const interleaved = family.gguf?.interleaved === true;
  const headsOf: Readonly<Record<string, number | undefined>> = interleaved
    ? { attn_q: heads, attn_k: count('head_count_kv') ?? heads }
    : {};
  const names = nameTable(family);
  const tensors = new Map<string, StoredTensor>();
  const files: string[] = [];
  for (const header of headers) {
    const file = await resolveLinks(header.file);
    files.push(file);
    for (const { name: own, type, shape, offset, byteLength } of header.tensors.values()) {
      const { layer, module = own, rest = '' } = BLOCK.exec(own)?.groups ?? {};
      const name = renamed(own, layer, module, rest, names);
      const interleavedHeads = layer === undefined ? undefined : headsOf[module];
      tensors.set(name, {
        name,
        dtype: type,
        shape,
        offset,
        byteLength,
        file,
        ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
      });
    }
  }
  return {
    folder: whole.file,
    settings: 'its metadata',
    nameThere: (name) => nameInGguf(name, names),
    files,
    tensors,
    aliases: new Map(),
  };
}

const BLOCK = /^blk\.(?<layer>\d{1,5})\.(?<module>\w+)\.(?<rest>\w+)$/;

/** Names without `.weight` and `.bias`: the family's, with `{layer}` in those of blocks, by the format's. */
type NameTable = ReadonlyMap<string, string>;

function nameTable({ weights }: Family): NameTable {
  const { projections } = weights;
  const pairs: readonly (readonly [string, string | null])[] = [
    ['token_embd', weights.embedding],
    ['output', weights.head],
    ['output_norm', weights.finalNorm],
    ['attn_norm', weights.attentionNorm],
    ['ffn_norm', weights.mlpNorm],
    ['attn_q_norm', weights.queryNorm],
    ['attn_k_norm', weights.keyNorm],
    ['attn_q', projections.q_proj],
    ['attn_k', projections.k_proj],
    ['attn_v', projections.v_proj],
    ['attn_output', projections.o_proj],
    ['ffn_gate', projections.gate_proj],
    ['ffn_up', projections.up_proj],
    ['ffn_down', projections.down_proj],
  ];
  return new Map(
    pairs.flatMap(([own, name]) => (name === null ? [] : [[own, name.replace(/\.weight$/, '')] as const])),
  );
}

function renamed(
  own: string,
  layer: string | undefined,
  module: string,
  rest: string,
  names: NameTable,
): string {
  if (layer !== undefined) {
    const name = names.get(module);
    return name === undefined ? own : `${name.replace('{layer}', layer)}.${rest}`;
  }
  const name = names.get(own.replace(/\.weight$/, ''));
  return name === undefined || name.includes('{layer}') ? own : `${name}.weight`;
}

/** What the format calls a tensor of the family's. */
function nameInGguf(name: string, names: NameTable): string {
  const layer = /\.layers\.(\d+)\./.exec(name)?.[1] ?? '';
  for (const [own, pattern] of names) {
    const base = pattern.replace('{layer}', layer);
    if (!name.startsWith(`${base}.`)) continue;
    const rest = name.slice(base.length);
    return pattern.includes('{layer}') ? `blk.${layer}.${own}${rest}` : `${own}${rest}`;
  }
  return name;
}
