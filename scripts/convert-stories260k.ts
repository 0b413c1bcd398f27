/** Makes models/stories260K from the files of its origin; `--help` says how. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PersonaError, UsageError } from '../src/errors.ts';
import { readSmallFile } from '../src/model/read-bytes.ts';
import { tokenizerJson } from '../src/model/sentencepiece-json.ts';
import { writeSafetensors } from '../src/model/safetensors-writer.ts';
import { writeFailure, writeFileAtomically } from '../src/util/atomic-file.ts';
import { readLlama2cModel, readLlama2cVocabulary } from './llama2c.ts';
import type { Llama2cHeader } from './llama2c.ts';
import { sentencePieces, tokenizerConfig } from './llama2c-tokenizer.ts';

const help = `Usage: tsx scripts/convert-stories260k.ts MODEL.bin VOCABULARY.bin [--out FOLDER]

Converts a llama2.c checkpoint and its vocabulary to the Hugging Face layout:
config.json, generation_config.json, model.safetensors (F32), tokenizer.json, tokenizer_config.json.
The inputs are stories260K.bin and tok512.bin of the folder stories260K in
https://huggingface.co/karpathy/tinyllamas. Equal inputs give equal bytes.

  --out FOLDER   where to write (default: models/stories260K of this repository)
  --help         this text`;

const defaultOut = fileURLToPath(new URL('../models/stories260K', import.meta.url));

/** The largest model that llama2.c publishes in this format has 440 MB; this script is for the smallest. */
const maxInputBytes = 100_000_000;

const beginId = 1;
const endId = 2;

/** Converts the two files and returns the names of the files written under `out`. */
export async function convert(modelFile: string, vocabularyFile: string, out: string): Promise<string[]> {
  const { header, tensors } = readLlama2cModel(await readSmallFile(modelFile, maxInputBytes));
  const tokens = readLlama2cVocabulary(await readSmallFile(vocabularyFile, maxInputBytes), header.vocabSize);
  const pieces = sentencePieces(tokens);
  await mkdir(out, { recursive: true }).catch((error: unknown) => {
    throw writeFailure(out, error);
  });
  const documents: Record<string, object> = {
    'config.json': modelConfig(header),
    'generation_config.json': { bos_token_id: beginId, eos_token_id: [beginId, endId] },
    'tokenizer.json': tokenizerJson(pieces, { bos: pieces[beginId]!, prefixSpace: true }),
    'tokenizer_config.json': tokenizerConfig(header.maxPositions),
  };
  for (const [name, document] of Object.entries(documents)) {
    const text = `${JSON.stringify(document, null, 2)}\n`;
    await writeFileAtomically(join(out, name), (handle) => handle.writeFile(text));
  }
  await writeSafetensors(join(out, 'model.safetensors'), tensors, { format: 'pt' });
  return [...Object.keys(documents), 'model.safetensors'];
}

function modelConfig(header: Llama2cHeader): object {
  return {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: beginId,
    eos_token_id: endId,
    hidden_act: 'silu',
    hidden_size: header.width,
    initializer_range: 0.02,
    intermediate_size: header.mlpWidth,
    max_position_embeddings: header.maxPositions,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: header.heads,
    num_hidden_layers: header.layers,
    num_key_value_heads: header.kvHeads,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 10000,
    tie_word_embeddings: header.tied,
    torch_dtype: 'float32',
    use_cache: true,
    vocab_size: header.vocabSize,
  };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { out: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help === true) {
    console.log(help);
    return;
  }
  const [modelFile, vocabularyFile] = positionals;
  if (modelFile === undefined || vocabularyFile === undefined || positionals.length > 2)
    throw new UsageError(`Two files were expected, ${positionals.length} came.\n\n${help}`);
  const out = values.out ?? defaultOut;
  for (const name of await convert(modelFile, vocabularyFile, out)) console.log(join(out, name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof PersonaError ? error.message : error);
    process.exitCode = 2;
  }
}
