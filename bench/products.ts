/** The ceiling: a graph of a model's products and nothing else, run on as many rows as the forward pass has tokens. */

import { dirname, relative } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { LoadOptions } from '../src/engine/model.ts';
import {
  isQuantised,
  prepareWeights,
  type QuantisedOrPlainSource,
  type QuantisedSource,
} from '../src/engine/quantised-weights.ts';
import { GraphBuilder, type Graph, type Value, writeOnnx } from '../src/graph/index.ts';
import type { Checkpoint } from '../src/model/checkpoint.ts';
import type { ModelWeights, Projection } from '../src/model/weights.ts';

/** What both sides of a comparison are loaded with. */
export type Settings = Required<Pick<LoadOptions, 'threads' | 'purpose' | 'dtype' | 'blockSize'>>;

export interface Products {
  /** Runs every product once on `rows` rows of noise, and the head on `headRows` of them. */
  run(rows: number, headRows: number): Promise<void>;
  close(): Promise<void>;
}

/** Loads the products with the session settings of the engine, on the weights that it takes. */
export async function loadProducts(checkpoint: Checkpoint, settings: Settings): Promise<Products> {
  const { weightFiles, config } = checkpoint;
  const weights = await weightsOf(checkpoint, settings);
  const { graph, files } = new ProductsBuilder(weights, config.width).build();
  const folder = commonFolder([...weightFiles, ...files]);
  const session = await InferenceSession.create(writeOnnx(graph, { externalFolder: folder }), {
    intraOpNumThreads: settings.threads,
    executionProviders: ['cpu'],
    logSeverityLevel: 3,
    extra: {
      session: {
        model_external_initializers_file_folder_path: folder,
        // As the engine does it: weights in blocks are packed for one pass too.
        ...(settings.purpose === 'one-pass' && settings.dtype === 'fp32' ? { disable_prepacking: '1' } : {}),
      },
    },
  });
  const inputs = new Map<number, Tensor>();
  const input = (rows: number): Tensor => {
    const known = inputs.get(rows) ?? new Tensor('float32', noise(rows * config.width), [rows, config.width]);
    inputs.set(rows, known);
    return known;
  };
  return {
    run: async (rows, headRows) => {
      const index = BigInt64Array.from({ length: headRows }, (_, i) => BigInt(i));
      await session.run({ x: input(rows), head_rows: new Tensor('int64', index, [headRows]) });
    },
    close: () => session.release(),
  };
}

/** The same of the head, for a token whose logits are computed. */
export function headOperations({ config }: Checkpoint): number {
  return 2 * config.width * config.vocabSize;
}

async function weightsOf(
  checkpoint: Checkpoint,
  { dtype, blockSize, threads }: Settings,
): Promise<ModelWeights<QuantisedOrPlainSource>> {
  const recipe = dtype === 'fp32' ? null : ({ bits: dtype === 'int8' ? 8 : 4, blockSize } as const);
  return prepareWeights(checkpoint, recipe, { threads });
}

/**
 * All products in a chain: x → q → o → gate → down → next block's x, with k, v and up beside it, and the head at the end.
 * Of a product that the chain does not need the first column is given out, so that none can be dropped.
 */
class ProductsBuilder {
  private readonly g = new GraphBuilder('products');
  private readonly files = new Set<string>();
  private readonly weights: ModelWeights<QuantisedOrPlainSource>;
  private readonly width: number;

  constructor(weights: ModelWeights<QuantisedOrPlainSource>, width: number) {
    this.weights = weights;
    this.width = width;
  }

  build(): { graph: Graph; files: readonly string[] } {
    const { g } = this;
    let x = g.input('x', 'f32', ['row', this.width]);
    const headRows = g.input('head_rows', 'i64', ['head_row']);
    for (const [b, { projections: parts }] of this.weights.blocks.entries()) {
      const linear = (name: Projection, from: Value): Value => this.product(from, parts[name].weight);
      const keep = (name: Projection, value: Value): void => this.keep(`${name}.${b}`, value);
      keep('k_proj', linear('k_proj', x));
      keep('v_proj', linear('v_proj', x));
      const middle = linear('o_proj', linear('q_proj', x)); // [row, width]
      keep('up_proj', linear('up_proj', middle));
      x = linear('down_proj', linear('gate_proj', middle)); // [row, width]
    }
    this.keep('y', x);
    this.keep('head', this.product(g.gather(x, headRows), this.weights.head));
    return { graph: g.build(), files: [...this.files] };
  }

  private keep(name: string, value: Value): void {
    this.g.output(name, this.g.slice(value, 1, 0, 1, { length: 1 }));
  }

  private product(x: Value, source: QuantisedOrPlainSource): Value {
    const { g } = this;
    if (isQuantised(source)) return this.blockProduct(x, source);
    const { file, offset, byteLength, dtype } = source;
    this.files.add(file);
    const types = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;
    const value = g.external(source.name, types[dtype], source.shape, { file, offset, byteLength });
    return g.matMul(x, dtype === 'F32' ? value : g.cast(value, 'f32'), { transposeB: true });
  }

  private blockProduct(x: Value, source: QuantisedSource): Value {
    const { g } = this;
    const { name, bits, blockSize } = source;
    const [N, K] = source.shape;
    const blocks = Math.ceil(K / blockSize);
    this.files.add(source.q.file);
    const q = g.external(`${name}.q`, 'u8', [N, blocks, (blockSize * bits) / 8], source.q);
    const scales = g.external(`${name}.scales`, 'f32', [N * blocks], source.scales);
    return g.matMulNBits(x, q, scales, null, { K, N, bits, blockSize, accuracyLevel: 4 });
  }
}

/** The folder that holds every file; the runtime reads no weights outside it. */
function commonFolder(files: readonly string[]): string {
  let common = dirname(files[0]!);
  for (const file of files) {
    while (relative(common, file).startsWith('..')) common = dirname(common);
  }
  return common;
}

function noise(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * i));
}
