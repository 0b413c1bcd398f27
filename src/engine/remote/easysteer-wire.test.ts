import { expect, it } from 'vitest';
import { directionPayload } from './easysteer-wire.ts';

it("spells directions as EasySteer's own DirectionVector does, and hashes them alike", () => {
  const vectors = new Map([
    [11, Float32Array.of(-1, -0.5, 0, 0.5)],
    [2, Float32Array.of(0, 0.25, 0.5, 0.75)],
  ]);
  // DirectionVector({10: [-1, -0.5, 0, 0.5], 1: [0, 0.25, 0.5, 0.75]}).to_wire() of EasySteer at 6267ca0, bytes in base64.
  expect(directionPayload(vectors)).toEqual({
    version: 1,
    kind: 'direction',
    tensors: {
      'layer.1': { shape: [4], data: 'AAAAAAAAgD4AAAA/AABAPw==' },
      'layer.10': { shape: [4], data: 'AACAvwAAAL8AAAAAAAAAPw==' },
    },
    extra: {},
    sha256: '37c7e5abf7c94cf56faf9b3cc06f101da18e4e0ba31ed1bc3098be49162fe9d4',
  });
});
