import { describe, expect, it } from 'vitest';
import { smallBlock } from '../../test/helpers/small-block.ts';
import { GraphError } from '../errors.ts';
import type { Graph, GraphNode, Initializer, OpName, Value } from './index.ts';
import { GraphBuilder, verifyGraph } from './index.ts';

/** x, w → product → tanh, plus a constant; the verifier sees corrupted copies of it. */
function sound(): Graph {
  const g = new GraphBuilder('sound');
  const x = g.input('x', 'f32', ['batch', 4]);
  const w = g.external('w', 'f32', [4, 2], { file: '/m/w.bin', offset: 3, byteLength: 32 });
  const bias = g.constant('bias', Float32Array.of(1, 2), [2]);
  g.output('y', g.tanh(g.add(g.matMul(x, w, {}, 'product'), bias, 'sum')));
  return g.build();
}

const withNode = (graph: Graph, index: number, change: Partial<GraphNode>): Graph => ({
  ...graph,
  nodes: graph.nodes.with(index, { ...graph.nodes[index]!, ...change }),
});
const withInitializer = (graph: Graph, index: number, change: Partial<Initializer>): Graph => ({
  ...graph,
  initializers: graph.initializers.with(index, { ...graph.initializers[index]!, ...change }),
});
const changed = (value: Value, change: Partial<Value>): Value => ({ ...value, ...change });

describe('verifyGraph', () => {
  it('accepts what the builder makes', () => {
    expect(() => verifyGraph(sound())).not.toThrow();
    expect(() => verifyGraph(smallBlock())).not.toThrow();
  });

  const corruptions: readonly [string, (graph: Graph) => Graph, string][] = [
    [
      'a value used before it is made',
      (graph) => ({ ...graph, nodes: graph.nodes.toReversed() }),
      'expected values made before their use, got %4 sum: f32[batch, 2], used by %5 y: f32[batch, 2] = tanh(%4)',
    ],
    [
      'a value made twice',
      (graph) => ({ ...graph, nodes: [...graph.nodes, graph.nodes[0]!] }),
      'expected each value to be made once, got %3 product: f32[batch, 2], made by %3 product: f32[batch, 2] = matMul(%0, %1)',
    ],
    [
      'an input that is also a result',
      (graph) => ({ ...graph, inputs: [...graph.inputs, graph.nodes[0]!.outputs[0]!] }),
      'expected each value to be made once, got %3 product',
    ],
    [
      'an id used twice',
      (graph) => ({
        ...graph,
        inputs: [...graph.inputs, { id: 0, name: 'z', type: { dtype: 'f32', shape: [] } }],
      }),
      'expected unique ids, got %0 z: f32[], made by an input',
    ],
    [
      'a name used twice',
      (graph) => ({
        ...graph,
        inputs: [...graph.inputs, { id: 9, name: 'w', type: { dtype: 'f32', shape: [] } }],
      }),
      'expected unique names, got %1 w: f32[4, 2], made by an initialiser',
    ],
    [
      'an empty name',
      (graph) => ({
        ...graph,
        inputs: [...graph.inputs, { id: 9, name: '', type: { dtype: 'f32', shape: [] } }],
      }),
      'expected names that are not empty, got %9 : f32[]',
    ],
    [
      'an axis below 0',
      (graph) => ({
        ...graph,
        inputs: [...graph.inputs, { id: 9, name: 'z', type: { dtype: 'f32', shape: [-1] } }],
      }),
      'expected a known element type and axes ≥ 0, got %9 z: f32[-1]',
    ],
    [
      'a stored type that the op does not give',
      (graph) => {
        const y = changed(graph.outputs[0]!, { type: { dtype: 'f32', shape: ['batch', 3] } });
        return { ...withNode(graph, 2, { outputs: [y] }), outputs: [y] };
      },
      'expected results f32[batch, 2], got %5 y: f32[batch, 3] = tanh(%4) with inputs %4 sum: f32[batch, 2]',
    ],
    [
      'a stored element type that the op does not give',
      (graph) => {
        const y = changed(graph.outputs[0]!, { type: { dtype: 'f16', shape: ['batch', 2] } });
        return { ...withNode(graph, 2, { outputs: [y] }), outputs: [y] };
      },
      'expected results f32[batch, 2], got %5 y: f16[batch, 2]',
    ],
    [
      'too few results',
      (graph) => withNode(graph, 2, { outputs: [] }),
      'expected results f32[batch, 2], got  = tanh(%4)',
    ],
    [
      'attributes that the op refuses',
      (graph) => withNode(graph, 0, { attributes: { transposeA: true } }),
      'matMul(%0 x: f32[batch, 4], %1 w: f32[4, 2]): expected one inner length of a and b, got batch and 4',
    ],
    [
      'attributes that are missing',
      (graph) => withNode(graph, 2, { op: 'transpose', attributes: {} }),
      'expected the attributes of transpose, got %5 y: f32[batch, 2] = transpose(%4)',
    ],
    [
      'an input missing',
      (graph) => withNode(graph, 1, { inputs: [graph.nodes[1]!.inputs[0]!, null] }),
      'add(%3 product: f32[batch, 2], none): expected an input b, got none',
    ],
    [
      'an unknown op',
      (graph) => withNode(graph, 2, { op: 'softplus' as OpName }),
      'expected a known op, got %5 y: f32[batch, 2] = softplus(%4)',
    ],
    [
      'an op named like a property of every object',
      (graph) => withNode(graph, 2, { op: 'constructor' as OpName }),
      'expected a known op, got %5 y: f32[batch, 2] = constructor(%4)',
    ],
    [
      'an output that nothing makes',
      (graph) => ({ ...graph, outputs: [{ ...graph.outputs[0]! }] }),
      'expected values made before their use, got %5 y: f32[batch, 2], used by the outputs',
    ],
    [
      'an output that is an input',
      (graph) => ({ ...graph, outputs: [...graph.outputs, graph.inputs[0]!] }),
      'expected outputs made by nodes, got %0 x: f32[batch, 4]',
    ],
    [
      'an output twice',
      (graph) => ({ ...graph, outputs: [...graph.outputs, graph.outputs[0]!] }),
      'expected each output once, got %5 y: f32[batch, 2] twice',
    ],
    [
      'a range that is too short',
      (graph) => withInitializer(graph, 0, { byteLength: 31 }),
      'expected 32 bytes for initialiser %1 w: f32[4, 2], got 31',
    ],
    [
      'an offset below 0',
      (graph) => withInitializer(graph, 0, { offset: -8 }),
      'expected an offset ≥ 0 in whole bytes for initialiser %1 w: f32[4, 2], got -8',
    ],
    [
      'a relative path',
      (graph) => withInitializer(graph, 0, { file: 'w.bin' }),
      'expected an absolute path for initialiser %1 w: f32[4, 2], got "w.bin"',
    ],
    [
      'too many numbers',
      (graph) => withInitializer(graph, 1, { data: new Float32Array(3) }),
      'expected 2 numbers for initialiser %2 bias: f32[2], got 3',
    ],
    [
      'numbers of another type',
      (graph) => withInitializer(graph, 1, { data: new Int32Array(2) }),
      'expected an array of f32 for initialiser %2 bias: f32[2], got i32',
    ],
    [
      'an initialiser with a named axis',
      (graph) => {
        const named = changed(graph.initializers[0]!.value, { type: { dtype: 'f32', shape: ['rows', 2] } });
        return withInitializer(graph, 0, { value: named });
      },
      'expected numbers as axes for initialiser %1 w: f32[rows, 2], got f32[rows, 2]',
    ],
    [
      'a node that leads nowhere',
      (graph) => ({ ...graph, outputs: [graph.nodes[1]!.outputs[0]!] }),
      'expected every node to lead to an output (the runtime would execute it all the same), got %5 y: f32[batch, 2] = tanh(%4)',
    ],
    [
      'an initialiser that nothing reads',
      (graph) => {
        const value: Value = { id: 9, name: 'spare', type: { dtype: 'f32', shape: [1] } };
        return { ...graph, initializers: [...graph.initializers, { value, data: new Float32Array(1) }] };
      },
      'expected every initialiser to be used, got %9 spare: f32[1]',
    ],
  ];

  it.each(corruptions)('refuses %s', (_, corrupt, message) => {
    const check = (): void => verifyGraph(corrupt(sound()));
    expect(check).toThrow(GraphError);
    expect(check).toThrow(message);
  });

  it('accepts unused nodes and initialisers where asked to, but nothing else', () => {
    const graph = sound();
    const unused = { ...graph, outputs: [graph.nodes[0]!.outputs[0]!] };
    expect(() => verifyGraph(unused, { allowUnused: true })).not.toThrow();
    const reversed = { ...graph, nodes: graph.nodes.toReversed() };
    expect(() => verifyGraph(reversed, { allowUnused: true })).toThrow(
      'expected values made before their use',
    );
  });
});
