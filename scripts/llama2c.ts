import { ParseError } from '../src/errors.ts';

/** What the header of a llama2.c checkpoint says. */
export interface Llama2cHeader {
  readonly width: number;
  readonly mlpWidth: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Whether the output matrix is the embedding matrix. */
  readonly tied: boolean;
}

/** One tensor under its Hugging Face name. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** One entry of a llama2.c vocabulary; the index in the list is the id. */
export interface Llama2cToken {
  /** As llama2.c prints it: a blank stands for a word start. */
  readonly text: string;
  /** Higher scores merge first. */
  readonly score: number;
}

const headerBytes = 28;

/** Reads a llama2.c checkpoint (version 0, float32) and gives its tensors Hugging Face names and layouts. */
export function readLlama2cModel(bytes: Uint8Array): { header: Llama2cHeader; tensors: NamedTensor[] } {
  const header = readHeader(bytes);
  const { width, mlpWidth, layers, heads, kvHeads, vocabSize, maxPositions } = header;
  const headSize = width / heads;
  const kvWidth = kvHeads * headSize;
  const floats = new FloatReader(bytes, headerBytes);
  const embedding = floats.take(vocabSize * width);
  const stacks = {
    'input_layernorm.weight': floats.stack(layers, [width]),
    'self_attn.q_proj.weight': floats.stack(layers, [width, width]),
    'self_attn.k_proj.weight': floats.stack(layers, [kvWidth, width]),
    'self_attn.v_proj.weight': floats.stack(layers, [kvWidth, width]),
    'self_attn.o_proj.weight': floats.stack(layers, [width, width]),
    'post_attention_layernorm.weight': floats.stack(layers, [width]),
    'mlp.gate_proj.weight': floats.stack(layers, [mlpWidth, width]),
    'mlp.down_proj.weight': floats.stack(layers, [width, mlpWidth]),
    'mlp.up_proj.weight': floats.stack(layers, [mlpWidth, width]),
  };
  const finalNorm = floats.take(width);
  // Tables of cosines and sines that current programs compute themselves.
  floats.take(maxPositions * headSize);
  const head = header.tied
    ? []
    : [{ name: 'lm_head.weight', shape: [vocabSize, width], data: floats.take(vocabSize * width) }];
  floats.expectEnd();
  const blocks = Array.from({ length: layers }, (_, block) =>
    Object.entries(stacks).map(([part, stack]) => ({
      name: `model.layers.${block}.${part}`,
      shape: stack.shape,
      data: halfSplit(part, stack.layers[block] ?? new Float32Array(), headSize, width),
    })),
  ).flat();
  return {
    header,
    tensors: [
      { name: 'model.embed_tokens.weight', shape: [vocabSize, width], data: embedding },
      ...blocks,
      { name: 'model.norm.weight', shape: [width], data: finalNorm },
      ...head,
    ],
  };
}

/** Reads a llama2.c vocabulary (`tok512.bin`). */
export function readLlama2cVocabulary(bytes: Uint8Array, vocabSize: number): Llama2cToken[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tokens: Llama2cToken[] = [];
  // The first word is the length of the longest token, which nothing here needs.
  let offset = 4;
  for (let id = 0; id < vocabSize; id++) {
    const start = offset + 8;
    const end = start <= bytes.length ? start + view.getInt32(offset + 4, true) : Infinity;
    if (end < start || end > bytes.length)
      throw new ParseError(
        `The vocabulary of ${bytes.length} bytes ends inside token ${id} of ${vocabSize}.`,
      );
    tokens.push({
      text: decodeText(bytes.subarray(start, end), id),
      score: view.getFloat32(offset, true),
    });
    offset = end;
  }
  if (offset < bytes.length)
    throw new ParseError(`The vocabulary has ${bytes.length - offset} bytes after its last token.`);
  return tokens;
}

function decodeText(bytes: Uint8Array, id: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new ParseError(`Token ${id} of the vocabulary is not UTF-8 text.`, { cause: error });
  }
}

function readHeader(bytes: Uint8Array): Llama2cHeader {
  if (bytes.length < headerBytes) throw new ParseError('The checkpoint is shorter than its 28-byte header.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (index: number): number => view.getInt32(4 * index, true);
  const vocabulary = word(5);
  const header = {
    width: word(0),
    mlpWidth: word(1),
    layers: word(2),
    heads: word(3),
    kvHeads: word(4),
    // The sign carries whether the output matrix is shared.
    vocabSize: Math.abs(vocabulary),
    maxPositions: word(6),
    tied: vocabulary > 0,
  };
  const { width, mlpWidth, layers, heads, kvHeads, vocabSize, maxPositions } = header;
  const counts = [width, mlpWidth, layers, heads, kvHeads, vocabSize, maxPositions];
  if (counts.some((count) => count < 1 || count > 1 << 24) || width % heads !== 0 || heads % kvHeads !== 0)
    throw new ParseError(`The header of the checkpoint makes no model: ${counts.join(', ')}.`);
  return header;
}

/**
 * llama2.c rotates neighbouring pairs of a head (0,1), (2,3) …; Hugging Face rotates pairs of the two
 * halves (0, n/2), (1, n/2+1) …. Moving the rows of q and k makes both the same function.
 */
function halfSplit(part: string, weight: Float32Array, headSize: number, width: number): Float32Array {
  if (part !== 'self_attn.q_proj.weight' && part !== 'self_attn.k_proj.weight') return weight;
  const moved = new Float32Array(weight.length);
  const half = headSize / 2;
  for (let row = 0; row < weight.length / width; row++) {
    const inHead = row % headSize;
    const source = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
    moved.set(weight.subarray(source * width, (source + 1) * width), row * width);
  }
  return moved;
}

class FloatReader {
  readonly #view: DataView;
  #offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  take(count: number): Float32Array {
    const end = this.#offset + 4 * count;
    if (end > this.#view.byteLength)
      throw new ParseError(
        `The checkpoint has ${this.#view.byteLength} bytes; its header asks for at least ${end}.`,
      );
    const values = Float32Array.from({ length: count }, (_, i) =>
      this.#view.getFloat32(this.#offset + 4 * i, true),
    );
    this.#offset = end;
    return values;
  }

  stack(layers: number, shape: readonly number[]): { shape: readonly number[]; layers: Float32Array[] } {
    const size = shape.reduce((product, n) => product * n, 1);
    return { shape, layers: Array.from({ length: layers }, () => this.take(size)) };
  }

  expectEnd(): void {
    const left = this.#view.byteLength - this.#offset;
    if (left !== 0) throw new ParseError(`The checkpoint has ${left} bytes after its last tensor.`);
  }
}
