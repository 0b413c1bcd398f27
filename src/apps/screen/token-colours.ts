import type { LanguageModel } from '../../engine/model.ts';
import { thinkTokensOf } from '../../model/thinking.ts';
import { projectRows } from '../../persona/projection/project.ts';
import { toProjectionRow } from '../../persona/projection/rows.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import type { RankedRow } from './differences.ts';
import { type EncodedSample, encodeSample } from './samples.ts';

/** A reply in pieces of text, each with its projection less that of the last prompt token. */
export interface ColouredReply {
  readonly key: string;
  readonly pieces: readonly { readonly text: string; readonly value: number }[];
}

/** Samples of a trait that are shown token by token. */
const shown = 3;

/** Runs the highest samples of each trait once more, for what their tokens contribute; `[traits][samples]`. */
export async function tokenColours(
  model: LanguageModel,
  watched: readonly Watched[],
  top: readonly (readonly RankedRow[])[],
  signal: AbortSignal | undefined,
): Promise<ColouredReply[][]> {
  const { checkpoint } = model;
  const limits = { maxPromptTokens: Infinity, context: checkpoint.config.maxPositions };
  const coloured: ColouredReply[][] = [];
  for (const [v, rows] of top.entries()) {
    const samples = rows
      .slice(0, shown)
      .map(({ row }) => encodeSample(checkpoint, row, limits))
      .filter((one): one is EncodedSample => typeof one !== 'string');
    const inputs = samples.map(({ promptIds, replyIds }) =>
      toProjectionRow([...promptIds, ...replyIds], promptIds.length, thinkTokensOf(checkpoint.tokenizer)),
    );
    const replies: ColouredReply[] = [];
    for await (const { index, tokens } of projectRows(model, [watched[v]!], inputs, { signal })) {
      const { key, promptIds, replyIds } = samples[index]!;
      const before = tokens[promptIds.length - 1]!;
      const pieces = replyIds.map((id, i) => ({
        text: checkpoint.tokenizer!.decode([id]),
        value: tokens[promptIds.length + i]! - before,
      }));
      replies[index] = { key, pieces };
    }
    coloured.push(replies);
  }
  return coloured;
}
