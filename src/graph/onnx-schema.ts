/** The messages of the ONNX format that the writer needs, field numbers from onnx.proto (IR version 10). */

import protobuf from 'protobufjs/light.js';
import type { DataType } from './types.ts';

type FieldSpec = readonly [number: number, type: string, repeated?: 'repeated'];

const messages = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
    domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    externalData: [13, 'StringStringEntryProto', 'repeated'],
    dataLocation: [14, 'int32'],
  },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'], sequenceType: [4, 'SequenceTypeProto'] },
  SequenceTypeProto: { elemType: [1, 'TypeProto'] },
  TensorTypeProto: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
} as const satisfies Readonly<Record<string, Readonly<Record<string, FieldSpec>>>>;

/** Values of `AttributeProto.type`. */
export const attributeType = { float: 1, int: 2, text: 3, ints: 7 } as const;

/** Value of `TensorProto.dataLocation` for data in another file. */
export const externalLocation = 1;

/** Values of `TensorProto.dataType` and `TensorTypeProto.elemType`. */
export const elementType: Readonly<Record<DataType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
};

/** A named attribute of a node; `type` says which of the fields holds it. */
export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly ints?: readonly number[];
}

/** One ONNX node; values are known by name. */
export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  /** Empty strings stand for absent optional ones. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
}

/** A constant, with its bytes or with the place of its bytes in a file. */
export interface TensorProto {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly rawData?: Uint8Array;
  readonly dataLocation?: number;
  readonly externalData?: readonly { readonly key: string; readonly value: string }[];
}

/** Type of a tensor; without a shape, of any. */
export interface TensorTypeProto {
  readonly elemType: number;
  readonly shape?: { readonly dim: readonly ({ dimValue: number } | { dimParam: string })[] };
}

/** Name and type of an input or output. */
export interface ValueInfoProto {
  readonly name: string;
  readonly type:
    | { readonly tensorType: TensorTypeProto }
    | { readonly sequenceType: { readonly elemType: { readonly tensorType: TensorTypeProto } } };
}

/** A whole model. */
export interface ModelProto {
  readonly irVersion: number;
  readonly producerName: string;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly NodeProto[];
    readonly initializer: readonly TensorProto[];
    readonly input: readonly ValueInfoProto[];
    readonly output: readonly ValueInfoProto[];
  };
}

const root = defineMessages();

/** The bytes of an ONNX model. Whole numbers are exact up to 2⁵³; larger ones belong in `rawData`. */
export function encodeModel(model: ModelProto): Uint8Array {
  return root.lookupType('onnx.ModelProto').encode(model).finish();
}

/** Reads back what `encodeModel` writes, as plain objects; i64 fields as decimal strings. For tests and tools. */
export function decodeModel(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const type = root.lookupType('onnx.ModelProto');
  return type.toObject(type.decode(bytes), { longs: String });
}

function defineMessages(): protobuf.Root {
  const root = new protobuf.Root();
  const namespace = root.define('onnx');
  for (const [message, fields] of Object.entries(messages)) {
    const type = new protobuf.Type(message);
    for (const [name, [number, fieldType, rule]] of Object.entries<FieldSpec>(fields)) {
      type.add(new protobuf.Field(name, number, fieldType, rule));
    }
    namespace.add(type);
  }
  return root;
}
