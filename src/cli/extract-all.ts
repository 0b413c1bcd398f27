import type { TraitOutcome } from '../apps/extract-all.ts';
import type { Trait } from '../persona/trait.ts';
import { type ExtractFlags, toExtractOptions } from './extract-flags.ts';
import { showExtraction } from './extract-progress.ts';
import { withExtractScene } from './extract-scene.ts';
import { noteBeside } from './progress.ts';

/** Extracts every trait of a model's set into folders below `out`, with one loaded model. */
export async function runAll(
  modelName: string,
  flags: ExtractFlags & { readonly traitSet?: string | undefined; readonly out?: string | undefined },
  signal: AbortSignal,
): Promise<TraitOutcome[]> {
  const { extractAll } = await import('../apps/extract-all.ts');
  const traits = await traitsFor(modelName, flags.traitSet);
  const out = flags.out ?? 'runs';
  return withExtractScene(modelName, flags, out, ({ model, judges, progress }) =>
    extractAll({
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
    }),
  );
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
