import { Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { GraphBuilder } from '../graph/graph.ts';
import type { Graph } from '../graph/types.ts';
import { EngineError } from '../errors.ts';
import { openSession, runInto } from './session.ts';

/** x `[row, 2]`, y `[row, 2]` → sum. */
function sumGraph(): Graph {
  const g = new GraphBuilder('sum');
  g.output('sum', g.add(g.input('x', 'f32', ['row', 2]), g.input('y', 'f32', ['row', 2])));
  return g.build();
}

const pair = (...numbers: number[]): Tensor => new Tensor('float32', Float32Array.from(numbers), [1, 2]);

it('writes results into the given memory, a view of a larger one too, and nothing beside it', async () => {
  const session = await openSession(sumGraph(), { threads: 1, packed: true, into: true });
  const memory = new Float32Array(4).fill(9);
  const sum = new Tensor('float32', memory.subarray(1, 3), [1, 2]);
  await runInto(session, { x: pair(1, 2), y: pair(10, 20) }, { sum });
  expect([...memory]).toEqual([9, 11, 22, 9]);
  await session.release();
});

it('fails where the runtime does: memory of another shape is no place for a result', async () => {
  const session = await openSession(sumGraph(), {
    threads: 1,
    packed: true,
    into: true,
    options: { logSeverityLevel: 4 },
  });
  const sum = new Tensor('float32', new Float32Array(4), [2, 2]);
  await expect(runInto(session, { x: pair(1, 2), y: pair(3, 4) }, { sum })).rejects.toThrow(EngineError);
  await session.release();
});

it('hands nothing over: the run of the session itself ends at its first output', async () => {
  const session = await openSession(sumGraph(), { threads: 1, packed: true, into: true });
  const outputs = Object.fromEntries(session.outputNames.map((name) => [name, null]));
  await expect(session.run({ x: pair(1, 2), y: pair(3, 4) }, outputs)).rejects.toThrow(/Non tensor type/);
  await session.release();
});
