import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { f32, i64, loadGraph, runGraph } from '../../test/helpers/run-graph.ts';
import { smallBlock } from '../../test/helpers/small-block.ts';
import { GraphError } from '../errors.ts';
import { decodeModel } from './onnx-schema.ts';
import type { DataType, Graph } from './index.ts';
import { GraphBuilder, writeOnnx } from './index.ts';

interface Decoded {
  readonly irVersion: string;
  readonly opsetImport: readonly { domain: string; version: string }[];
  readonly graph: {
    readonly node: readonly {
      opType: string;
      domain: string;
      input: string[];
      output: string[];
      attribute?: object[];
    }[];
    readonly initializer: readonly {
      name: string;
      dims: string[];
      rawData?: Buffer;
      externalData?: { key: string; value: string }[];
    }[];
    readonly input: readonly {
      name: string;
      type: { tensorType: { elemType: number; shape: { dim: object[] } } };
    }[];
  };
}

const decode = (graph: Graph, externalFolder = '/'): Decoded =>
  decodeModel(writeOnnx(graph, { externalFolder })) as unknown as Decoded;

let folder = '';
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'graph-onnx-')));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('writeOnnx', () => {
  it('declares versions, and named axes as parameters', () => {
    const model = decode(smallBlock());
    expect(model.irVersion).toBe('10');
    expect(model.opsetImport).toEqual([
      { domain: '', version: '21' },
      { domain: 'com.microsoft', version: '1' },
    ]);
    const past = model.graph.input.find((input) => input.name === 'block.0/attention/past.key')!;
    expect(past.type.tensorType).toEqual({
      elemType: 1,
      shape: {
        dim: [{ dimParam: 'batch' }, { dimValue: '1' }, { dimParam: 'capacity' }, { dimValue: '16' }],
      },
    });
  });

  it('writes the numbers of an array that is a part of a longer one', () => {
    const g = new GraphBuilder('part');
    g.output('y', g.neg(g.constant('c', Float32Array.of(2, 3), [2])));
    const graph = g.build();
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const part = { ...graph, initializers: [{ value: graph.initializers[0]!.value, data }] };
    expect(decode(part)).toEqual(decode(graph));
  });

  it('spells absent inputs and skipped outputs as empty names', () => {
    const { node } = decode(smallBlock()).graph;
    const attention = node.find((item) => item.opType === 'GroupQueryAttention')!;
    expect(attention.input.slice(0, 3)).toEqual(['block.0/attention/qkv', '', '']);
    const norm = node.find((item) => item.opType === 'SkipSimplifiedLayerNormalization')!;
    expect(norm.output).toEqual(['block.0/addRmsNorm.normed', '', '', 'block.0/addRmsNorm.sum']);
  });

  it('points external tensors into their file, relative to the folder, in decimal strings', () => {
    const { initializer } = decode(smallBlock(), '/models').graph;
    expect(initializer.find((tensor) => tensor.name === 'block.0/out.weight')).toEqual({
      name: 'block.0/out.weight',
      dataType: 16,
      dims: ['32', '32'],
      dataLocation: 1,
      externalData: [
        { key: 'location', value: 'tiny/model.safetensors' },
        { key: 'offset', value: '10624' },
        { key: 'length', value: '2048' },
      ],
    });
  });

  it('refuses files outside the folder', () => {
    for (const externalFolder of ['/models/other', '/models/tiny/model.safetensors', '/models/tin']) {
      const write = (): Uint8Array => writeOnnx(smallBlock(), { externalFolder });
      expect(write).toThrow(GraphError);
      expect(write).toThrow(`expected a file inside ${externalFolder}, got /models/tiny/model.safetensors`);
    }
    expect(() => writeOnnx(smallBlock(), { externalFolder: '/models/tiny/../tiny' })).not.toThrow();
  });

  it('takes folders whose names start with dots', () => {
    const g = new GraphBuilder('dots');
    const w = g.external('w', 'f32', [1], { file: '/m/..cache/w.bin', offset: 0, byteLength: 4 });
    g.output('y', g.neg(w));
    const [tensor] = decode(g.build(), '/m').graph.initializer;
    expect(tensor!.externalData![0]).toEqual({ key: 'location', value: '..cache/w.bin' });
  });

  it('writes equal bytes for equal graphs', () => {
    const write = (): Uint8Array => writeOnnx(smallBlock(), { externalFolder: '/models' });
    expect(Buffer.from(write()).equals(Buffer.from(write()))).toBe(true);
  });

  it('shares the vectors that ONNX wants as inputs, beside values of the same name', () => {
    const g = new GraphBuilder('vectors');
    const x = g.input('i64[1]', 'f32', ['batch', 4]);
    g.output('a', g.unsqueeze(x, [1]));
    g.output('b', g.unsqueeze(x, [1]));
    const { initializer, node } = decode(g.build()).graph;
    expect(initializer.map((tensor) => tensor.name)).toEqual(["i64[1]'"]);
    expect(node.map((item) => item.input)).toEqual([
      ['i64[1]', "i64[1]'"],
      ['i64[1]', "i64[1]'"],
    ]);
  });

  it('writes an attribute of 0 and an axis of length 0', () => {
    const g = new GraphBuilder('zeros');
    const x = g.input('x', 'f32', [0, 2]);
    g.output('y', g.reduceSum(x, [0], { keepDims: false }));
    const { input, node } = decode(g.build()).graph;
    expect(node[0]!.attribute).toEqual([{ name: 'keepdims', type: 2, i: '0' }]);
    expect(input[0]!.type.tensorType.shape.dim).toEqual([{ dimValue: '0' }, { dimValue: '2' }]);
  });
});

describe('the runtime reads what writeOnnx writes', () => {
  it('inline constants of every array type, whole numbers of 64 bits exactly', async () => {
    const huge = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n);
    const g = new GraphBuilder('inline');
    g.output('i64', g.identity(g.constant('i64.in', huge, [3])));
    g.output('f64', g.identity(g.constant('f64.in', Float64Array.of(Math.PI, -0), [2])));
    g.output('f32', g.identity(g.constant('f32.in', Float32Array.of(Infinity, 0.1), [1, 2])));
    g.output('i32', g.identity(g.constant('i32.in', Int32Array.of(-5), [])));
    g.output('u8', g.identity(g.constant('u8.in', Uint8Array.of(255, 0), [2])));
    g.output('empty', g.identity(g.constant('empty.in', new Float32Array(0), [0, 3])));
    const got = await runGraph(g.build(), {});
    expect(got).toEqual({
      i64: { dims: [3], data: huge },
      f64: { dims: [2], data: Float64Array.of(Math.PI, -0) },
      f32: { dims: [1, 2], data: Float32Array.of(Infinity, 0.1) },
      i32: { dims: [], data: Int32Array.of(-5) },
      u8: { dims: [2], data: Uint8Array.of(255, 0) },
      empty: { dims: [0, 3], data: new Float32Array(0) },
    });
  });

  /** A file like a safetensors one: a header of odd length, then tensors back to back. */
  async function weightsFile(
    parts: readonly ArrayBufferView[],
  ): Promise<{ file: string; offsets: number[] }> {
    const header = Buffer.from('{"__metadata__":{"made":"up"}}  x');
    const file = join(folder, 'deep', `weights ${parts.length}.safetensors`);
    await mkdir(join(folder, 'deep'), { recursive: true });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const bytes = parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    await writeFile(file, Buffer.concat([length, header, ...bytes]));
    let offset = 8 + header.length;
    const offsets = bytes.map((part) => {
      offset += part.length;
      return offset - part.length;
    });
    return { file, offsets };
  }

  it('external tensors at unaligned offsets, of every element type', async () => {
    const bf16 = Uint16Array.of(0x3f80, 0xc020, 0x7f7f, 0x0001); // 1, −2.5, the largest, the smallest
    const f16 = Uint16Array.of(0x3c00, 0xc100, 0x7bff, 0x0001);
    const parts: readonly [DataType, ArrayBufferView][] = [
      ['u8', Uint8Array.of(1, 2, 0, 255)],
      ['bf16', bf16],
      ['f16', f16],
      ['f32', Float32Array.of(0.1, -2, 3e38, 1e-40)],
      ['f64', Float64Array.of(0.1)],
      ['i64', BigInt64Array.of(-(2n ** 62n))],
      ['i32', Int32Array.of(7)],
    ];
    const { file, offsets } = await weightsFile(parts.map(([, part]) => part));
    expect(offsets.every((offset) => offset % 2 === 1)).toBe(true);
    const g = new GraphBuilder('external');
    parts.forEach(([dtype, part], index) => {
      const count = (part as Uint8Array).length;
      const source = { file, offset: offsets[index]!, byteLength: part.byteLength };
      const value = g.external(dtype, dtype, [count], source);
      g.output(
        `${dtype}.out`,
        dtype === 'bf16' || dtype === 'f16' ? g.cast(value, 'f32') : g.identity(value),
      );
    });
    const got = await runGraph(g.build(), {}, { externalFolder: folder });
    expect(Object.fromEntries(Object.entries(got).map(([name, { data }]) => [name, data]))).toEqual({
      'u8.out': Uint8Array.of(1, 2, 0, 255),
      'bf16.out': Float32Array.of(1, -2.5, 3.3895313892515355e38, 9.183549615799121e-41),
      'f16.out': Float32Array.of(1, -2.5, 65504, 5.960464477539063e-8),
      'f32.out': Float32Array.of(0.1, -2, 3e38, 1e-40),
      'f64.out': Float64Array.of(0.1),
      'i64.out': BigInt64Array.of(-(2n ** 62n)),
      'i32.out': Int32Array.of(7),
    });
  });

  it('a product with an external bf16 weight, and rows of a bf16 table cast after the lookup', async () => {
    const bf16 = (numbers: readonly number[]): Uint16Array =>
      Uint16Array.from(numbers, (x) => new Uint32Array(Float32Array.of(x).buffer)[0]! >>> 16);
    const { file, offsets } = await weightsFile([bf16([1, 2, 3, 4, 5, 6]), Uint8Array.of(9)]);
    const g = new GraphBuilder('weights');
    const table = g.external('table', 'bf16', [3, 2], { file, offset: offsets[0]!, byteLength: 12 });
    const ids = g.input('ids', 'i64', ['batch']);
    const rows = g.cast(g.gather(table, ids), 'f32');
    g.output('rows', rows);
    g.output('logits', g.matMul(rows, g.cast(table, 'f32'), { transposeB: true }));
    const graph = await loadGraph(g.build(), folder);
    const got = await graph.run({ ids: i64([2], [2, 0]) });
    expect(got['rows']).toEqual({ dims: [2, 2], data: Float32Array.of(5, 6, 1, 2) });
    expect(got['logits']).toEqual({ dims: [2, 3], data: Float32Array.of(17, 39, 61, 5, 11, 17) });
  });

  it('an input that no node reads', async () => {
    const g = new GraphBuilder('unused input');
    g.input('spare', 'f32', ['n']);
    g.output('y', g.neg(g.input('x', 'f32', ['batch'])));
    const got = await runGraph(g.build(), { x: f32([1], [2]), spare: f32([0], []) });
    expect(got['y']).toEqual({ dims: [1], data: Float32Array.of(-2) });
  });
});
