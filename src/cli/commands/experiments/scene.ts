import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { EstimateExperimentOptions } from '../../../apps/estimate-experiments.ts';
import type { TraitAndVector } from '../../../apps/trait-vector.ts';
import type { LanguageModel } from '../../../engine/model.ts';
import type { JudgeProvider } from '../../../persona/judge.ts';
import type { Trait } from '../../../persona/trait.ts';
import type { PersonaVector } from '../../../persona/vector.ts';
import { defined } from '../../../util/defined.ts';
import { type JudgedDryRunFlags, toRateOptions } from '../../dry-run.ts';
import { checkFlaggedJudge, type JudgeFlags, openFlaggedJudge } from '../../judge-flags.ts';
import type { ModelFlags } from '../../model-flags.ts';
import { createProgress, noteBeside } from '../../progress.ts';
import { note } from '../../terminal.ts';

/** The flags of an experiment with one trait and its vector. */
export interface TraitExperimentFlags extends JudgeFlags, JudgedDryRunFlags, ModelFlags {
  readonly trait: string;
  readonly traitSet?: string | undefined;
  readonly vector?: string | undefined;
  readonly vectors?: string | undefined;
  readonly layer?: number | undefined;
  readonly samples?: number | undefined;
  readonly maxTokens?: number | undefined;
  readonly seed?: number | undefined;
  readonly out?: string | undefined;
  readonly json?: true | undefined;
}

/** Adds `--trait` and where its vector is. */
export function addTraitOptions(command: CommandUnknownOpts): void {
  command
    .requiredOption('--trait <name>', 'a trait that ships with the package, or a trait file')
    .option('--trait-set <name>', 'set of shipped traits that the name is looked for in')
    .option('--vector <name>', "vector by file, run folder or name (default: the trait's name)")
    .option('--vectors <dir>', 'folder of vectors (default: runs)');
}

/** What a dry run of an experiment is estimated from; no weight is loaded, and a judge elsewhere is not asked. */
export async function dryRunScene(
  modelName: string,
  flags: TraitExperimentFlags,
): Promise<Omit<EstimateExperimentOptions, 'out'> & TraitAndVector> {
  await checkFlaggedJudge(flags);
  const [{ readTraitAndVector }, { readPrices }, { lexicalJudgeOf }] = await Promise.all([
    import('../../../apps/trait-vector.ts'),
    import('../../../apps/judge-prices.ts'),
    import('../../../persona/lexical-judge.ts'),
  ]);
  const found = await readTraitAndVector(modelName, flags);
  const { dtype, block: blockSize } = flags;
  const prices = flags.prices === undefined ? undefined : await readPrices(flags.prices);
  const isLocal = flags.judge === undefined || flags.judge === 'lexical';
  const judge = isLocal
    ? lexicalJudgeOf(found.trait)
    : (await openFlaggedJudge(flags, { dtype, blockSize, onNote: note })).forTrait(found.trait);
  return { ...toRateOptions(flags), ...defined({ dtype, blockSize, prices }), ...found, judge };
}

/** What such an experiment runs on. */
export interface TraitScene {
  readonly model: LanguageModel;
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly judge: JudgeProvider;
  readonly onProgress: (step: string, done: number, total: number) => void;
}

/** Loads what an experiment runs on, the weights last, and closes it when `work` ends. */
export async function withTraitScene<T>(
  modelName: string,
  flags: TraitExperimentFlags,
  work: (scene: TraitScene) => Promise<T>,
): Promise<T> {
  await checkFlaggedJudge(flags);
  const [{ loadFromCheckpoint }, { readTraitAndVector }] = await Promise.all([
    import('../../../engine/load.ts'),
    import('../../../apps/trait-vector.ts'),
  ]);
  const { checkpoint, trait, vector } = await readTraitAndVector(modelName, flags);
  const progress = createProgress({ unit: 'replies' });
  const tell = (line: string): void => noteBeside(progress, line);
  const { dtype, block: blockSize } = flags;
  const model = await loadFromCheckpoint(checkpoint, { ...defined({ dtype, blockSize }), onNotice: tell });
  try {
    const judges = await openFlaggedJudge(flags, { loaded: model, dtype, blockSize, onNote: tell });
    try {
      const onProgress: TraitScene['onProgress'] = (step, done, total) => progress.update(step, done, total);
      return await work({ model, trait, vector, judge: judges.forTrait(trait), onProgress });
    } finally {
      await judges.close();
    }
  } finally {
    progress.end();
    await model.close();
  }
}
