/** A layer × strength sweep: the cells of a grid as rows of common batches, and cell by cell. */

import type { LanguageModel } from '../src/engine/model.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { GenerateRow, Intervention } from '../src/engine/types.ts';
import { decodePrompt } from './decode.ts';
import { type Part, rowIds, type Variant, whole } from './part.ts';
import { smallVector } from './prefill.ts';
import { headOperations } from './products.ts';

/** Layers, strengths, and replies to one question in each cell. */
export const sweepWork = { layers: 4, strengths: 4, replies: 4 } as const;

const names = {
  together: 'all cells in one call',
  apart: 'a call for every cell',
} as const;

/** Both variants sample the same replies. */
export function sweepPart(model: LanguageModel, reply: number): Part {
  const cells = cellsOf(model);
  const rows = cells.flat();
  const tokens = rows.length * reply;
  const operations = tokens * (operationsPerToken(model.checkpoint) + headOperations(model.checkpoint));
  const generate = async (some: readonly GenerateRow[]): Promise<void> => {
    let seen = 0;
    for await (const { ids } of model.generate(some, { maxTokens: reply, temperature: 1, ignoreEos: true }))
      seen += ids.length;
    if (seen !== some.length * reply) throw new Error(`expected ${some.length * reply} tokens, got ${seen}`);
  };
  const variant = (name: string, run: () => Promise<void>): Variant => ({
    name,
    tokens,
    operations,
    run: whole(run),
  });
  return {
    title: `sweep, ${cells.length} cells of ${sweepWork.replies} replies of ${reply} tokens`,
    variants: [
      variant(names.together, () => generate(rows)),
      variant(names.apart, async () => {
        for (const cell of cells) await generate(cell);
      }),
    ],
    comparisons: [
      { label: 'against a call for every cell', variant: names.together, against: [names.apart] },
    ],
  };
}

/** `[cells][replies]`; the rows of a cell share its list of interventions, and so the run of their prompt. */
function cellsOf({ checkpoint }: LanguageModel): GenerateRow[][] {
  const { layers, width, vocabSize } = checkpoint.config;
  const ids = rowIds(decodePrompt, vocabSize);
  return Array.from({ length: sweepWork.layers * sweepWork.strengths }, (_, cell) => {
    const layer = 1 + Math.floor(((cell % sweepWork.layers) * layers) / sweepWork.layers);
    const coef = 0.01 * (1 + Math.floor(cell / sweepWork.layers));
    const interventions: Intervention[] = [{ layer, vector: smallVector(width), coef }];
    return Array.from({ length: sweepWork.replies }, (__, reply) => ({
      ids,
      key: String(reply),
      interventions,
    }));
  });
}
