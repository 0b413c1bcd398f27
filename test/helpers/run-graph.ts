import * as ort from 'onnxruntime-node';
import type { ConstantData, DataType, Graph } from '../../src/graph/index.ts';
import { writeOnnx } from '../../src/graph/index.ts';

/** A run-time tensor of a test. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: ConstantData;
}

export interface RunOptions {
  /** Folder of external initialisers. */
  readonly externalFolder?: string;
  /** Feeds that results are written into, by output name: past buffers for present results. */
  readonly into?: Readonly<Record<string, string>>;
}

type RunnableType = Exclude<DataType, 'f16' | 'bf16' | 'bool'>;

const runtimeTypes: Readonly<Record<RunnableType, ort.Tensor.Type>> = {
  f32: 'float32',
  f64: 'float64',
  i32: 'int32',
  i64: 'int64',
  u8: 'uint8',
};

/** A loaded graph of a test; results are copied out by name. */
export interface LoadedGraph {
  run(
    feeds: Readonly<Record<string, Tensor>>,
    into?: Readonly<Record<string, string>>,
  ): Promise<Record<string, Tensor>>;
}

/** Loads a graph into the real runtime, on one thread, from its bytes alone. */
export async function loadGraph(graph: Graph, externalFolder = '/'): Promise<LoadedGraph> {
  const session = await ort.InferenceSession.create(writeOnnx(graph, { externalFolder }), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    // Errors come as exceptions; printed a second time they would drown the test report.
    logSeverityLevel: 4,
    extra: { session: { model_external_initializers_file_folder_path: externalFolder } },
  });
  const types = new Map(graph.inputs.map((value) => [value.name, value.type.dtype as RunnableType]));
  return {
    async run(feeds, into = {}) {
      const tensors: Record<string, ort.Tensor> = {};
      for (const [name, { dims, data }] of Object.entries(feeds)) {
        tensors[name] = new ort.Tensor(runtimeTypes[types.get(name)!], data, dims);
      }
      const fetches: Record<string, ort.Tensor | null> = {};
      for (const { name } of graph.outputs) fetches[name] = name in into ? tensors[into[name]!]! : null;
      const results = await session.run(tensors, fetches);
      return Object.fromEntries(
        Object.entries(results).map(([name, { dims, data }]) => [name, { dims, data: data as ConstantData }]),
      );
    },
  };
}

/** Loads a graph and runs it once. */
export async function runGraph(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  options: RunOptions = {},
): Promise<Record<string, Tensor>> {
  const loaded = await loadGraph(graph, options.externalFolder);
  return loaded.run(feeds, options.into);
}

/** Shorthands for feeds. */
export const f32 = (dims: readonly number[], data: Iterable<number>): Tensor => ({
  dims,
  data: Float32Array.from(data),
});
export const i32 = (dims: readonly number[], data: Iterable<number>): Tensor => ({
  dims,
  data: Int32Array.from(data),
});
export const i64 = (dims: readonly number[], data: readonly number[]): Tensor => ({
  dims,
  data: BigInt64Array.from(data, BigInt),
});
