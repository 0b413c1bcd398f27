import { isAbsolute, relative, resolve, sep } from 'node:path';
import { GraphError } from '../errors.ts';
import type { AttributeProto, NodeProto, TensorProto, ValueInfoProto } from './onnx-schema.ts';
import { attributeType, elementType, encodeModel, externalLocation } from './onnx-schema.ts';
import type { OnnxAttribute, OnnxCall } from './ops/definition.ts';
import { operations } from './ops/registry.ts';
import type { Graph, GraphNode, Initializer, Value } from './types.ts';
import { formatValue } from './types.ts';

/** Where the files of external initialisers lie. */
export interface WriteOnnxOptions {
  /**
   * Absolute folder that the runtime is told to resolve external data against (session setting
   * `session.model_external_initializers_file_folder_path`). Every file must lie inside it; the runtime
   * refuses links that leave it.
   */
  readonly externalFolder: string;
  /** Name of an empty sequence of f32 tensors to put before the graph's own outputs. */
  readonly emptySequence?: string;
}

/** ONNX 1.16 and its operators; the contrib ops of ONNX Runtime have one version. */
const irVersion = 10;
const opsets = [
  { domain: '', version: 21 },
  { domain: 'com.microsoft', version: 1 },
];

/**
 * The graph as the bytes of an ONNX model (IR 10, opset 21, `com.microsoft` 1), for a session made from
 * memory. Constants travel inside, external initialisers as file, offset and length. Throws `GraphError` where
 * a file lies outside `externalFolder`.
 */
export function writeOnnx(graph: Graph, options: WriteOnnxOptions): Uint8Array {
  const vectors = new VectorConstants(graph);
  const sequence = options.emptySequence === undefined ? null : emptySequence(options.emptySequence);
  const node = graph.nodes.map((item) => nodeProto(item, vectors));
  return encodeModel({
    irVersion,
    producerName: 'persona-vectors',
    opsetImport: opsets,
    graph: {
      name: graph.name,
      node: sequence === null ? node : [sequence.node, ...node],
      initializer: [
        ...graph.initializers.map((item) => tensorProto(item, options.externalFolder)),
        ...vectors.tensors,
      ],
      input: graph.inputs.map(valueInfoProto),
      output: [...(sequence === null ? [] : [sequence.output]), ...graph.outputs.map(valueInfoProto)],
    },
  });
}

/** The shapes, axes and bounds that ONNX wants as tensors; equal ones are one tensor. */
class VectorConstants {
  readonly tensors: TensorProto[] = [];
  readonly #names = new Map<string, string>();
  readonly #taken: ReadonlySet<string>;

  constructor(graph: Graph) {
    const values = [
      ...graph.inputs,
      ...graph.initializers.map((item) => item.value),
      ...graph.nodes.flatMap((node) => node.outputs),
    ];
    this.#taken = new Set(values.map((value) => value.name));
  }

  name(numbers: readonly number[]): string {
    const key = numbers.join(',');
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    let name = `i64[${key}]`;
    while (this.#taken.has(name)) name += "'";
    this.#names.set(key, name);
    const data = BigInt64Array.from(numbers, BigInt);
    this.tensors.push({ name, dataType: elementType.i64, dims: [numbers.length], rawData: rawBytes(data) });
    return name;
  }
}

function nodeProto(node: GraphNode, vectors: VectorConstants): NodeProto {
  const call = operations[node.op].onnx(node);
  const constants = (call.constants ?? []).map((numbers) => vectors.name(numbers));
  return {
    name: node.outputs[0]!.name,
    opType: call.type,
    domain: call.domain ?? '',
    input: [...node.inputs.map((value) => value?.name ?? ''), ...constants],
    output: outputNames(node, call),
    attribute: Object.entries(call.attributes ?? {}).map(([name, value]) => attributeProto(name, value)),
  };
}

function outputNames(node: GraphNode, call: OnnxCall): readonly string[] {
  const slots = call.outputSlots ?? node.outputs.map((_, index) => index);
  const names: string[] = Array.from({ length: Math.max(...slots) + 1 }, () => '');
  node.outputs.forEach((value, index) => {
    names[slots[index]!] = value.name;
  });
  return names;
}

function attributeProto(name: string, value: OnnxAttribute): AttributeProto {
  if ('int' in value) return { name, type: attributeType.int, i: value.int };
  if ('float' in value) return { name, type: attributeType.float, f: value.float };
  if ('ints' in value) return { name, type: attributeType.ints, ints: value.ints };
  if ('text' in value) return { name, type: attributeType.text, s: Buffer.from(value.text) };
  return { name, type: attributeType.int, i: elementType[value.dataType] };
}

function tensorProto(initializer: Initializer, folder: string): TensorProto {
  const { name, type } = initializer.value;
  const common = { name, dataType: elementType[type.dtype], dims: type.shape as readonly number[] };
  if ('data' in initializer) return { ...common, rawData: rawBytes(initializer.data) };
  const { file, offset, byteLength, value } = initializer;
  return {
    ...common,
    dataLocation: externalLocation,
    externalData: [
      { key: 'location', value: locationInside(folder, file, value) },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(byteLength) },
    ],
  };
}

function locationInside(folder: string, file: string, value: Value): string {
  const location = relative(resolve(folder), resolve(file));
  if (location === '' || location === '..' || location.startsWith(`..${sep}`) || isAbsolute(location)) {
    const sentence = `expected a file inside ${folder}, got ${file}; give a folder that holds all of its files`;
    throw new GraphError(`Initialiser ${formatValue(value)}: ${sentence}.`, { details: { file, folder } });
  }
  return location.split(sep).join('/');
}

function valueInfoProto(value: Value): ValueInfoProto {
  const dim = value.type.shape.map((dim) =>
    typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim },
  );
  return {
    name: value.name,
    type: { tensorType: { elemType: elementType[value.type.dtype], shape: { dim } } },
  };
}

function emptySequence(name: string): { readonly node: NodeProto; readonly output: ValueInfoProto } {
  const elemType = { tensorType: { elemType: elementType.f32 } };
  return {
    node: { name, opType: 'SequenceEmpty', domain: '', input: [], output: [name], attribute: [] },
    output: { name, type: { sequenceType: { elemType } } },
  };
}

/** Row-major bytes; typed arrays are little-endian on every machine that the runtime supports, as ONNX is. */
function rawBytes(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
