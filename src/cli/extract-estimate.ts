import { join } from 'node:path';
import { type Estimate, joinEstimates } from '../apps/estimate.ts';
import type { EstimateExtractOptions } from '../apps/estimate-extract.ts';
import type { Trait } from '../persona/trait.ts';
import { defined } from '../util/defined.ts';
import { type JudgedDryRunFlags, toRateOptions } from './dry-run.ts';
import { traitsFor } from './extract-all.ts';
import { type ExtractFlags, toExtractOptions } from './extract-flags.ts';
import { withFlaggedJudge } from './judge-flags.ts';
import { toModelOptions } from './model-flags.ts';
import { note } from './terminal.ts';

export type EstimateExtractFlags = ExtractFlags &
  JudgedDryRunFlags & {
    readonly out?: string | undefined;
    readonly traitSet?: string | undefined;
  };

/** What the extraction of one trait would take, or of every trait of the model's set. */
export async function estimateExtraction(
  model: string,
  flags: EstimateExtractFlags,
  one: (Pick<EstimateExtractOptions['extract'], 'rollouts'> & { readonly trait: Trait }) | null,
): Promise<Estimate> {
  const [{ estimateExtract }, { readPrices }, { runFolderName }] = await Promise.all([
    import('../apps/estimate-extract.ts'),
    import('../apps/judge-prices.ts'),
    import('../apps/extract-all.ts'),
  ]);
  const { dtype, block: blockSize, out } = flags;
  const prices = flags.prices === undefined ? undefined : await readPrices(flags.prices);
  const options = { ...toRateOptions(flags), ...toModelOptions(flags), ...defined({ prices }), model };
  const common = toExtractOptions(flags);
  // Asked nothing here, but it alone knows how often it would be.
  return withFlaggedJudge(flags, { dtype, blockSize, onNote: note }, async (judges) => {
    if (one !== null) {
      const folder = out ?? join('runs', runFolderName(one.trait.name));
      const judge = judges.forTrait(one.trait);
      return estimateExtract({ ...options, extract: { ...common, ...one, out: folder, judge } });
    }
    const estimates: [string, Estimate][] = [];
    for (const trait of await traitsFor(model, flags.traitSet)) {
      const folder = join(out ?? 'runs', runFolderName(trait.name));
      const extract = { ...common, trait, out: folder, judge: judges.forTrait(trait) };
      estimates.push([trait.name, await estimateExtract({ ...options, extract })]);
    }
    return joinEstimates(estimates);
  });
}
