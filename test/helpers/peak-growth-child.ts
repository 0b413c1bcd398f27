/** Runs the graph of one memory scene and prints by how many bytes that raised this process's peak. */

import { resourceUsage } from 'node:process';
import { type Graph, GraphBuilder, type GraphNode, gradients } from '../../src/graph/index.ts';
import type { MemoryScene } from './peak-growth.ts';
import { f32, loadGraph, type Tensor } from './run-graph.ts';

interface Scene {
  readonly graph: Graph;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

const scenes: Readonly<Record<MemoryScene, () => Scene>> = {
  'quantised-chain': quantisedChain,
  'kept-blocks': () => wideBlocks(false),
  'recomputed-blocks': () => wideBlocks(true),
};

const { graph, feeds } = scenes[process.argv[2] as MemoryScene]();
const loaded = await loadGraph(graph);
const before = resourceUsage().maxRSS;
await loaded.run(feeds);
console.log(1024 * (resourceUsage().maxRSS - before));

/** 24 products with frozen 8-bit weights of the same bytes and other scales, and the gradient of their input. */
function quantisedChain(): Scene {
  const [size, blockSize, rows] = [2048, 32, 4];
  const blocks = size / blockSize;
  const g = new GraphBuilder('chain');
  const x = g.input('x', 'f32', ['rows', size]);
  // An input: a constant's copies, made while the graph is loaded, would raise the peak before the run.
  const q = g.input('q', 'u8', [size, blocks, blockSize]);
  let y = x;
  for (let i = 0; i < 24; i++) {
    const scales = g.constant(`scales.${i}`, new Float32Array(size * blocks).fill(1e-3 + i * 1e-5), [
      size * blocks,
    ]);
    y = g.matMulNBits(y, q, scales, null, { K: size, N: size, bits: 8, blockSize, accuracyLevel: 4 });
  }
  const loss = g.reduceSum(y, [0, 1], { keepDims: false });
  g.output('dx', gradients(g, loss, [x])[0]!);
  g.output('loss', loss);
  const feeds = {
    x: f32([rows, size], new Float32Array(rows * size).fill(0.01)),
    q: { dims: [size, blocks, blockSize], data: new Uint8Array(size * size).fill(127) },
  };
  return { graph: g.build(), feeds };
}

/** 8 blocks of a few elementwise steps on 8 MB. */
function wideBlocks(recomputed: boolean): Scene {
  const [rows, width] = [2048, 1024];
  const g = new GraphBuilder('blocks');
  const x = g.input('x', 'f32', ['rows', width]);
  let hidden = g.silu(x);
  const segments: (readonly GraphNode[])[] = [];
  for (let i = 0; i < 8; i++) {
    const before = g.nodes.length;
    const [a, b] = [g.tanh(hidden), g.sigmoid(hidden)];
    const product = g.mul(g.mul(a, b), g.silu(a));
    hidden = g.add(hidden, g.mul(product, g.exp(product)));
    segments.push(g.nodes.slice(before));
  }
  const loss = g.reduceSum(hidden, [0, 1], { keepDims: false });
  g.output('dx', gradients(g, loss, [x], recomputed ? { recompute: segments } : {})[0]!);
  g.output('loss', loss);
  const data = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i));
  return { graph: g.build(), feeds: { x: f32([rows, width], data) } };
}
