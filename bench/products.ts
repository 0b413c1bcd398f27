/** The ceiling: a graph of a model's linear layers and nothing else, run at the forward's own token count. */

import { dirname, relative } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { LoadOptions } from '../src/engine/model.ts';
import { GraphBuilder, type Graph, type Value, writeOnnx } from '../src/graph/index.ts';
import type { Checkpoint } from '../src/model/checkpoint.ts';
import { type BlockWeights, projections, type WeightSource } from '../src/model/weights.ts';

const dataTypes = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/** What both sides of a comparison are loaded with. */
export type SessionSettings = Required<Pick<LoadOptions, 'threads' | 'purpose'>>;

export interface Products {
  /** Runs all products once on `tokens` rows of noise. */
  run(tokens: number): Promise<void>;
  close(): Promise<void>;
}

/** Loads the products with the session settings of the engine. */
export async function loadProducts(checkpoint: Checkpoint, settings: SessionSettings): Promise<Products> {
  const graph = buildProducts(checkpoint);
  const folder = commonFolder(checkpoint.weightFiles);
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
  const input = (tokens: number): Tensor => {
    const known = inputs.get(tokens) ?? new Tensor('float32', noise(tokens * width), [tokens, width]);
    inputs.set(tokens, known);
    return known;
  };
  return {
    run: async (tokens) => {
      await session.run({ x: input(tokens) });
    },
    close: () => session.release(),
  };
}

/** Multiplications of all linear layers for one token, each counted with its addition as two operations. */
export function operationsPerToken(checkpoint: Checkpoint): number {
  const sizes = checkpoint.weights.blocks.flatMap((block) =>
    projections.map((name) => block.projections[name].weight.shape.reduce((a, b) => a * b, 1)),
  );
  return 2 * sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * All linear layers in a chain: x → q → o → gate → down → next block's x, with k, v and up beside it. Nothing
 * of a product that the chain does not need is used but its first token, so that no product can be dropped.
 */
function buildProducts(checkpoint: Checkpoint): Graph {
  const g = new GraphBuilder('products');
  const weight = (source: WeightSource): Value => {
    const { file, offset, byteLength, dtype } = source;
    const value = g.external(source.name, dataTypes[dtype], source.shape, { file, offset, byteLength });
    return dtype === 'F32' ? value : g.cast(value, 'f32');
  };
  let x = g.input('x', 'f32', ['token', checkpoint.config.width]);
  checkpoint.weights.blocks.forEach((block: BlockWeights<WeightSource>, b) => {
    const linear = (name: (typeof projections)[number], from: Value): Value =>
      g.matMul(from, weight(block.projections[name].weight), { transposeB: true });
    const keep = (name: (typeof projections)[number], value: Value): void =>
      g.output(`${name}.${b}`, g.slice(value, 0, 0, 1, { length: 1 }));
    keep('k_proj', linear('k_proj', x));
    keep('v_proj', linear('v_proj', x));
    const middle = linear('o_proj', linear('q_proj', x)); // [token, width]
    keep('up_proj', linear('up_proj', middle));
    x = linear('down_proj', linear('gate_proj', middle)); // [token, width]
  });
  g.output('y', g.slice(x, 0, 0, 1, { length: 1 }));
  return g.build();
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
