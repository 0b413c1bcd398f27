import type { TraitOutcome } from '../apps/extract-all.ts';
import { AbortError } from '../errors.ts';
import type { Trait } from '../persona/trait.ts';
import { type ExtractFlags, toExtractOptions } from './extract-flags.ts';
import type { JudgeSource } from '../persona/judge.ts';
import { checkFlaggedJudge, openFlaggedJudge } from './judge-flags.ts';
import { toModelOptions } from './model-flags.ts';
import { showExtraction } from './extract-progress.ts';
import { createProgress, noteBeside } from './progress.ts';

/** Extracts every trait of a model's set into folders below `out`, with one loaded model. */
export async function runAll(
  modelName: string,
  flags: ExtractFlags & { readonly traitSet?: string | undefined; readonly out?: string | undefined },
  signal: AbortSignal,
): Promise<TraitOutcome[]> {
  const [{ loadModel }, { extractAll }] = await Promise.all([
    import('../engine/load.ts'),
    import('../apps/extract-all.ts'),
  ]);
  const traits = await traitsFor(modelName, flags.traitSet);
  const out = flags.out ?? 'runs';
  const progress = createProgress({ unit: 'rollouts' });
  const { dtype, block: blockSize } = flags;
  const onNotice = (line: string): void => noteBeside(progress, line);
  await checkFlaggedJudge(flags);
  const model = await loadModel(modelName, { ...toModelOptions(flags), onNotice });
  let judges: JudgeSource | null = null;
  try {
    judges = await openFlaggedJudge(flags, { loaded: model, dtype, blockSize, onNote: onNotice });
    return await extractAll({
      ...toExtractOptions(flags),
      model,
      judges,
      traits,
      out,
      signal,
      onTrait: ({ name }, index) => {
        noteBeside(progress, `${name} (${index + 1} of ${traits.length})`);
        return showExtraction(progress);
      },
    });
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(`Stopped; what is finished is kept in "${out}", and the same command continues.`);
  } finally {
    progress.end();
    await judges?.close();
    await model.close();
  }
}

/** The shipped traits of a model's set. */
export async function traitsFor(modelName: string, set: string | undefined): Promise<Trait[]> {
  const [{ findModelFolder }, { traitSet }, { loadTrait }] = await Promise.all([
    import('../model/hub-cache.ts'),
    import('../persona/trait-set.ts'),
    import('../persona/trait.ts'),
  ]);
  const { folder: modelFolder } = await findModelFolder(modelName);
  const found = await traitSet({ set, modelFolder });
  return Promise.all(found.map(({ file }) => loadTrait(file)));
}
