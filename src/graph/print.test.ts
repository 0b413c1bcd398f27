import { expect, it } from 'vitest';
import { smallBlock } from '../../test/helpers/small-block.ts';
import { GraphBuilder, printGraph } from './index.ts';

it('prints a block, one line a value', () => {
  expect(printGraph(smallBlock())).toMatchInlineSnapshot(`
    "graph small block
    input %0 ids: i64[batch, position]
    input %1 seqlens: i32[batch]
    input %2 total: i32[1]
    input %11 block.0/attention/past.key: f32[batch, 1, capacity, 16]
    input %12 block.0/attention/past.value: f32[batch, 1, capacity, 16]
    input %32 pool: f32[batch, reading, position]
    external %3 embedding: bf16[100, 32] = model.safetensors at 128, 6400 bytes
    constant %6 block.0/gain: f32[32] = sha256 b638277a8690
    external %8 block.0/attention/qkv.weight: bf16[64, 32] = model.safetensors at 6528, 4096 bytes
    external %16 block.0/out.weight: bf16[32, 32] = model.safetensors at 10624, 2048 bytes
    external %21 block.0/gate_up.weight: bf16[128, 32] = model.safetensors at 12672, 8192 bytes
    external %28 block.0/down.weight: bf16[32, 64] = model.safetensors at 20864, 4096 bytes
    %4 gather: bf16[batch, position, 32] = gather(%3, %0)
    %5 embeddings: f32[batch, position, 32] = cast(%4, to=f32)
    %7 block.0/rmsNorm: f32[batch, position, 32] = rmsNorm(%5, %6, epsilon=0.000001)
    %9 block.0/attention/cast: f32[64, 32] = cast(%8, to=f32)
    %10 block.0/attention/qkv: f32[batch, position, 64] = matMul(%7, %9, transposeB=true)
    %13 block.0/attention/mix.out: f32[batch, position, 32], %14 block.0/present.key: f32[batch, 1, capacity, 16], %15 block.0/present.value: f32[batch, 1, capacity, 16] = groupQueryAttention(%10, none, none, %11, %12, %1, %2, heads=2, kvHeads=1, rotary=false, window=8)
    %17 block.0/cast: f32[32, 32] = cast(%16, to=f32)
    %18 block.0/out: f32[batch, position, 32] = matMul(%13, %17, transposeB=true)
    %19 block.0/addRmsNorm.normed: f32[batch, position, 32], %20 block.0/addRmsNorm.sum: f32[batch, position, 32] = addRmsNorm(%5, %18, %6, epsilon=0.000001)
    %22 block.0/cast_2: f32[128, 32] = cast(%21, to=f32)
    %23 block.0/gate_up: f32[batch, position, 128] = matMul(%19, %22, transposeB=true)
    %24 block.0/parts.0: f32[batch, position, 64], %25 block.0/parts.1: f32[batch, position, 64] = split(%23, axis=-1, sizes=[64, 64])
    %26 block.0/silu: f32[batch, position, 64] = silu(%24)
    %27 block.0/mul: f32[batch, position, 64] = mul(%26, %25)
    %29 block.0/cast_3: f32[32, 64] = cast(%28, to=f32)
    %30 block.0/down: f32[batch, position, 32] = matMul(%27, %29, transposeB=true)
    %31 block.0/add: f32[batch, position, 32] = add(%20, %30)
    %33 matMul: f32[batch, reading, 32] = matMul(%32, %5)
    %34 unsqueeze: f32[batch, reading, 1, 32] = unsqueeze(%33, axes=[2])
    %35 matMul_2: f32[batch, reading, 32] = matMul(%32, %31)
    %36 unsqueeze_2: f32[batch, reading, 1, 32] = unsqueeze(%35, axes=[2])
    %37 taps: f32[batch, reading, 2, 32] = concat(%34, %36, axis=2)
    output %14 block.0/present.key
    output %15 block.0/present.value
    output %37 taps
    "
  `);
});

it('prints short constants whole and long ones as a hash', () => {
  const g = new GraphBuilder('constants');
  const long = Float32Array.from({ length: 9 }, (_, i) => i / 4);
  const huge = BigInt64Array.of(2n ** 63n - 1n, -1n);
  g.output('a', g.identity(g.constant('short', Float32Array.of(0.5, -Infinity), [2])));
  g.output('b', g.identity(g.constant('long', long, [3, 3])));
  g.output('c', g.identity(g.constant('huge', huge, [2])));
  g.output('d', g.identity(g.constant('scalar', Int32Array.of(7), [])));
  expect(printGraph(g.build())).toMatchInlineSnapshot(`
    "graph constants
    constant %0 short: f32[2] = [0.5, -Infinity]
    constant %2 long: f32[3, 3] = sha256 acb567e391a3
    constant %4 huge: i64[2] = [9223372036854775807, -1]
    constant %6 scalar: i32[] = [7]
    %1 a: f32[2] = identity(%0)
    %3 b: f32[3, 3] = identity(%2)
    %5 c: i64[2] = identity(%4)
    %7 d: i32[] = identity(%6)
    output %1 a
    output %3 b
    output %5 c
    output %7 d
    "
  `);
});

it('does not depend on the order in which attributes were given, nor on the folder of a file', () => {
  const print = (folder: string, swap: boolean): string => {
    const g = new GraphBuilder('same');
    const x = g.external('x', 'f32', [2, 3], { file: `${folder}/w.bin`, offset: 1, byteLength: 24 });
    const options = { sizes: [1, 2], axis: 1 };
    g.output('y', g.split(x, options.axis, options.sizes)[0]!);
    const graph = g.build();
    const attributes = swap ? options : { axis: options.axis, sizes: options.sizes };
    return printGraph({ ...graph, nodes: [{ ...graph.nodes[0]!, attributes }] });
  };
  expect(print('/a', true)).toBe(print('/b/c', false));
});
