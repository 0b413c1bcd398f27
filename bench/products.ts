/** The ceiling: a graph of a model's linear layers and nothing else, run at the engine's own row counts. */

import { dirname, relative } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Dtype, LoadOptions } from '../src/engine/model.ts';
import {
  isQuantised,
  loadQuantisedWeights,
  type QuantisedOrPlainSource,
} from '../src/engine/quantised-weights.ts';
import { type FileRange, GraphBuilder, type Graph, type Value, writeOnnx } from '../src/graph/index.ts';
import type { Checkpoint } from '../src/model/checkpoint.ts';
import { type ModelWeights, type Projection, projections } from '../src/model/weights.ts';
import { expectSame } from './measure.ts';

const dataTypes = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/** What both sides of a comparison are loaded with. */
export type EngineSettings = Required<Pick<LoadOptions, 'threads' | 'purpose' | 'dtype' | 'blockSize'>>;

export interface Products {
  /** Runs the linear layers of every block once on `rows` rows of noise, and the head on `headRows` of them. */
  run(rows: number, headRows: number): Promise<void>;
  close(): Promise<void>;
}

/** Loads the products with the session settings of the engine and the same weights. */
export async function loadProducts(checkpoint: Checkpoint, settings: EngineSettings): Promise<Products> {
  const graph = new ProductsBuilder(checkpoint, await productWeights(checkpoint, settings)).build();
  const folder = commonFolder(graph);
  const session = await InferenceSession.create(writeOnnx(graph, { externalFolder: folder }), {
    intraOpNumThreads: settings.threads,
    executionProviders: ['cpu'],
    logSeverityLevel: 3,
    extra: {
      session: {
        model_external_initializers_file_folder_path: folder,
        ...(settings.purpose === 'one-pass' ? { disable_prepacking: '1' } : {}),
      },
    },
  });
  const { width } = checkpoint.config;
  const inputs = new Map<number, Tensor>();
  const input = (rows: number): Tensor => {
    const known = inputs.get(rows) ?? new Tensor('float32', noise(rows * width), [rows, width]);
    inputs.set(rows, known);
    return known;
  };
  return {
    run: async (rows, headRows) => {
      const index = BigInt64Array.from({ length: headRows }, (_, i) => BigInt(i));
      const feeds = { x: input(rows), head: new Tensor('int64', index, [headRows]) };
      const { y, logits } = await session.run(feeds);
      expectSame('rows of the last block', y?.dims.join(), `${rows},1`);
      expectSame('rows of the head', logits?.dims.join(), `${headRows},1`);
    },
    close: () => session.release(),
  };
}

/** Operations for one token; a multiplication and its addition are two. */
export interface Operations {
  /** All linear layers of all blocks. */
  readonly blocks: number;
  readonly head: number;
}

export function operationsPerToken({ weights }: Pick<Checkpoint, 'weights'>): Operations {
  const count = ({ shape }: { readonly shape: readonly number[] }): number =>
    2 * shape.reduce((product, size) => product * size, 1);
  const linear = weights.blocks.flatMap((block) => projections.map((name) => block.projections[name].weight));
  return { blocks: linear.reduce((sum, source) => sum + count(source), 0), head: count(weights.head) };
}

async function productWeights(
  checkpoint: Checkpoint,
  { dtype, blockSize, threads }: EngineSettings,
): Promise<ModelWeights<QuantisedOrPlainSource>> {
  if (dtype === 'fp32') return checkpoint.weights;
  return loadQuantisedWeights(checkpoint, { bits: bitsOf(dtype), blockSize }, { threads });
}

/** Bits of a quantised weight. */
export function bitsOf(dtype: Exclude<Dtype, 'fp32'>): 8 | 4 {
  return dtype === 'int8' ? 8 : 4;
}

/**
 * All linear layers in a chain: x → q → o → gate → down → next block's x, with k, v and up beside it, and the head behind
 * the rows that `head` names. Of a product that the chain does not need one column is an output, so that no product can
 * be dropped.
 */
class ProductsBuilder {
  private readonly g = new GraphBuilder('products');
  private readonly checkpoint: Checkpoint;
  private readonly weights: ModelWeights<QuantisedOrPlainSource>;

  constructor(checkpoint: Checkpoint, weights: ModelWeights<QuantisedOrPlainSource>) {
    this.checkpoint = checkpoint;
    this.weights = weights;
  }

  build(): Graph {
    const { g } = this;
    let x = g.input('x', 'f32', ['row', this.checkpoint.config.width]);
    const head = g.input('head', 'i64', ['headRow']);
    this.weights.blocks.forEach((block, b) => {
      const linear = (name: Projection, from: Value): Value =>
        this.product(from, block.projections[name].weight);
      this.keep(`k_proj.${b}`, linear('k_proj', x));
      this.keep(`v_proj.${b}`, linear('v_proj', x));
      const middle = linear('o_proj', linear('q_proj', x)); // [row, width]
      this.keep(`up_proj.${b}`, linear('up_proj', middle));
      x = linear('down_proj', linear('gate_proj', middle)); // [row, width]
    });
    this.keep('y', x);
    this.keep('logits', this.product(g.gather(x, head), this.weights.head)); // [headRow, vocabulary]
    return g.build();
  }

  private keep(name: string, value: Value): void {
    this.g.output(name, this.g.slice(value, 1, 0, 1, { length: 1 }));
  }

  /** x Wᵀ, as the engine's own graph has it. */
  private product(x: Value, source: QuantisedOrPlainSource): Value {
    const { g } = this;
    const external = (
      name: string,
      dtype: 'u8' | 'f32' | 'f16' | 'bf16',
      shape: readonly number[],
      { file, offset, byteLength }: FileRange,
    ): Value => g.external(name, dtype, shape, { file, offset, byteLength });
    if (!isQuantised(source)) {
      const weight = external(source.name, dataTypes[source.dtype], source.shape, source);
      return g.matMul(x, source.dtype === 'F32' ? weight : g.cast(weight, 'f32'), { transposeB: true });
    }
    const { name, bits, blockSize } = source;
    const [N, K] = source.shape;
    const blocks = Math.ceil(K / blockSize);
    const q = external(`${name}.q`, 'u8', [N, blocks, (blockSize * bits) / 8], source.q);
    const scales = external(`${name}.scales`, 'f32', [N * blocks], source.scales);
    return g.matMulNBits(x, q, scales, null, { K, N, bits, blockSize, accuracyLevel: 4 });
  }
}

/** The folder that holds every weight file; the runtime reads none outside it. */
function commonFolder(graph: Graph): string {
  const files = graph.initializers.flatMap((initializer) =>
    'file' in initializer ? [initializer.file] : [],
  );
  let common = dirname(files[0]!);
  for (const file of files) {
    while (relative(common, file).startsWith('..')) common = dirname(common);
  }
  return common;
}

function noise(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * i));
}
