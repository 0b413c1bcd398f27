import { basename } from 'node:path';
import { sha256 } from '../util/hash.ts';
import type { AttributeValue } from './ops/registry.ts';
import type { ConstantData, Graph, GraphNode, Initializer, Value } from './types.ts';
import { formatShape, formatValue } from './types.ts';

/** Constants up to this many numbers are printed whole, longer ones as a hash. */
const wholeConstant = 8;

/**
 * The graph as typed text, one line a value, for readers and snapshot tests:
 *
 *     graph block
 *     input %0 hidden: f32[batch, position, 64]
 *     external %1 query/weight: bf16[64, 64] = model.safetensors at 4096, 8192 bytes
 *     %2 query/weight.f32: f32[64, 64] = cast(%1, to=f32)
 *     %3 query: f32[batch, position, 64] = matMul(%0, %2, transposeB=true)
 *     output %3 query
 *
 * The text depends on the graph alone: of files it shows the name without the folder.
 */
export function printGraph(graph: Graph): string {
  const lines = [
    `graph ${graph.name}`,
    ...graph.inputs.map((value) => `input ${formatValue(value)}`),
    ...graph.initializers.map(formatInitializer),
    ...graph.nodes.map(formatNode),
    ...graph.outputs.map((value) => `output %${value.id} ${value.name}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** One line: results with their types, op, inputs by id (`none` where absent), attributes. */
export function formatNode(node: GraphNode): string {
  const inputs = node.inputs.map((value: Value | null) => (value === null ? 'none' : `%${value.id}`));
  const attributes = Object.entries(node.attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${formatAttribute(value)}`);
  return `${node.outputs.map(formatValue).join(', ')} = ${node.op}(${[...inputs, ...attributes].join(', ')})`;
}

function formatInitializer(initializer: Initializer): string {
  const { value } = initializer;
  if ('data' in initializer) return `constant ${formatValue(value)} = ${formatData(initializer.data)}`;
  const { file, offset, byteLength } = initializer;
  return `external ${formatValue(value)} = ${basename(file)} at ${offset}, ${byteLength} bytes`;
}

function formatData(data: ConstantData): string {
  if (data.length <= wholeConstant) return `[${Array.from(data, String).join(', ')}]`;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return `sha256 ${sha256(bytes).slice(0, 12)}`;
}

function formatAttribute(value: AttributeValue): string {
  return typeof value === 'object' ? formatShape(value) : String(value);
}
