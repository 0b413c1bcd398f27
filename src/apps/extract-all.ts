import { join } from 'node:path';
import { DataError, UsageError } from '../errors.ts';
import { type ExtractResult, extract } from '../persona/extract.ts';
import type { ExtractOptions } from '../persona/extract-options.ts';
import type { JudgeSource } from '../persona/judge.ts';
import { lexicalJudges } from '../persona/lexical-judge.ts';
import type { Trait } from '../persona/trait.ts';

export interface ExtractAllOptions
  extends Omit<ExtractOptions, 'trait' | 'out' | 'judge' | 'rollouts' | 'onProgress'> {
  readonly traits: readonly Trait[];
  /** Folder of the runs, one for each trait, named after it. */
  readonly out: string;
  /** Default: the lexical judge with each trait's word lists. */
  readonly judges?: JudgeSource;
  /** The listener for a trait's run, asked for when the run begins. */
  readonly onTrait?: (trait: Trait, index: number) => ExtractOptions['onProgress'];
}

/** What became of one trait. */
export interface TraitOutcome {
  readonly trait: string;
  readonly folder: string;
  /** Null where the filter kept too few pairs. */
  readonly result: ExtractResult | null;
  /** Why there is no result, or null. */
  readonly failure: string | null;
}

/**
 * Extracts the vectors of several traits with one loaded model, each in a run folder of its own. A trait whose filter keeps
 * too few pairs is told as such and does not stop the others. Finished runs are only read, so that the same call continues
 * after a stop.
 *
 * @throws what `extract` throws, but for too few pairs; UsageError for two traits of one name.
 */
export async function extractAll(options: ExtractAllOptions): Promise<TraitOutcome[]> {
  const { traits, out, judges = lexicalJudges, onTrait, ...common } = options;
  const folders = traits.map(({ name }) => runFolderName(name));
  const twice = folders.find((name, index) => folders.indexOf(name) < index);
  if (twice !== undefined || traits.length === 0) {
    throw new UsageError(
      `Expected at least one trait and different names, got ${twice === undefined ? 'none' : `"${twice}" twice`}.`,
    );
  }
  // A judge that a trait's file lacks something for is told before hours of work on the traits before it.
  const judged = traits.map((trait) => judges.forTrait(trait));
  const outcomes: TraitOutcome[] = [];
  for (const [index, trait] of traits.entries()) {
    const folder = join(out, folders[index]!);
    const onProgress = onTrait?.(trait, index);
    const own = { trait, judge: judged[index]!, out: folder, ...(onProgress && { onProgress }) };
    outcomes.push(await extractOne({ ...common, ...own }));
  }
  return outcomes;
}

async function extractOne(options: ExtractOptions & { readonly trait: Trait }): Promise<TraitOutcome> {
  const outcome = { trait: options.trait.name, folder: options.out };
  try {
    return { ...outcome, result: await extract(options), failure: null };
  } catch (error) {
    if (!(error instanceof DataError) || error.details['reason'] !== 'too-few-kept') throw error;
    return { ...outcome, result: null, failure: error.message };
  }
}

/** A trait may be called anything; a folder of its name may not. */
export function runFolderName(trait: string): string {
  return trait.replace(/[^\p{L}\p{N}_-]+/gu, '-');
}
