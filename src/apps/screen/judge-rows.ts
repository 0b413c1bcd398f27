import { dirname, join } from 'node:path';
import type { LanguageModel } from '../../engine/model.ts';
import type { JudgeProvider, JudgeSource } from '../../persona/judge.ts';
import { findVector } from '../../persona/vector-folder.ts';
import { type Trait, loadTrait, resolveTrait } from '../../persona/trait.ts';
import { isThere } from '../../store/files.ts';
import { runFiles } from '../../store/run-folder.ts';
import type { JudgedRow, ScreenRow } from '../../store/screen-schema.ts';
import type { FinishedPart, Part } from './run-parts.ts';

/** A judge that reads every screened reply beside the projection. */
export interface ScreenJudge {
  /** As it was asked for, with all that decides its scores but the traits. */
  readonly name: string;
  /** Set of shipped traits in which names are looked for. */
  readonly traitSet?: string | undefined;
  /** Opens it when the model is loaded, which a local judge may share. */
  readonly open: (model: LanguageModel) => Promise<JudgeSource>;
}

/**
 * The traits of vectors: from the run that a vector lies in, else the shipped one of its name.
 *
 * @throws UsageError where there is neither.
 */
export function traitsOfVectors(
  vectors: readonly { readonly reference: string; readonly trait: string }[],
  options: {
    readonly folder?: string | undefined;
    readonly traitSet?: string | undefined;
    readonly modelFolder: string;
  },
): Promise<Trait[]> {
  const naming = { set: options.traitSet, modelFolder: options.modelFolder };
  return Promise.all(
    vectors.map(async ({ reference, trait }) => {
      const beside = join(dirname(await findVector(reference, options.folder)), runFiles.trait);
      return (await isThere(beside)) ? loadTrait(beside) : resolveTrait(trait, naming);
    }),
  );
}

/** Judges the rows of a part, one judge a vector; equal judges are asked once. */
export async function judgePart(
  { rows, items }: Part<ScreenRow>,
  judges: readonly JudgeProvider[],
  signal: AbortSignal | undefined,
): Promise<FinishedPart<JudgedRow>> {
  const questions = items.map(({ prompt, reply }) => ({
    question: prompt.findLast(({ role }) => role === 'user')!.content,
    answer: reply,
  }));
  const byJudge = new Map<string, (number | null)[]>();
  for (const judge of judges) {
    if (byJudge.has(judge.id)) continue;
    const scores: (number | null)[] = items.map(() => null);
    for await (const { index, scores: given } of judge.judge(
      questions,
      signal === undefined ? {} : { signal },
    ))
      scores[index] = given.trait;
    byJudge.set(judge.id, scores);
  }
  const judged = items.map(({ key }, i) => ({ key, scores: judges.map(({ id }) => byJudge.get(id)![i]!) }));
  return { rows: judged, counts: { rows, samples: items.length, empty: 0, long: 0, refused: 0 } };
}
