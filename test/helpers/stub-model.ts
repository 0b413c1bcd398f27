import type { LanguageModel } from '../../src/engine/model.ts';
import type { ForwardOptions, ForwardResult, ForwardRow } from '../../src/engine/types.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';

/** A model without arithmetic: a token's projection is a number that its id and place give. For what is around a model. */
export function stubModel(checkpoint: Checkpoint): Promise<LanguageModel> {
  const generateNothing = (): never => {
    throw new Error('the stub only projects');
  };
  return Promise.resolve({
    checkpoint,
    precision: 'stub',
    forward,
    generate: generateNothing,
    scoreContinuations: generateNothing,
    close: () => Promise.resolve(),
  });
}

// Async as every model's, though it waits for nothing.
// oxlint-disable-next-line require-await
async function* forward(
  rows: readonly ForwardRow[],
  { project = [] }: ForwardOptions = {},
): AsyncGenerator<ForwardResult> {
  for (const [index, { ids }] of rows.entries()) {
    const projections = new Float32Array(ids.length * project.length);
    for (const [i, id] of ids.entries())
      for (let v = 0; v < project.length; v++)
        projections[i * project.length + v] = Math.sin(id * (v + 1) + i / 7);
    yield { index, pooled: {}, projections };
  }
}
