import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { DataError, UsageError } from '../../errors.ts';
import type { ExtractResult } from '../../persona/extract.ts';
import type { ExtractOptions } from '../../persona/extract-options.ts';
import type { Trait } from '../../persona/trait.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { modelArgument } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import {
  type ExtractFlags,
  addOptions,
  rolloutFlags,
  steeringFlags,
  toExtractOptions,
  vectorFlags,
} from '../extract-flags.ts';
import { judgedDryRunFlags, printEstimate } from '../dry-run.ts';
import type { EstimateExtractFlags } from '../extract-estimate.ts';
import { showExtraction } from '../extract-progress.ts';
import { print, printJson } from '../terminal.ts';

/** `persona extract`: a trait's vector at every layer, and whether it steers. */
export function extractCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('extract')
    .usage('[options] [model] <trait>')
    .addArgument(modelArgument)
    .argument('[trait]', 'a trait that ships with the package, or a trait file')
    .option(
      '--all',
      "all shipped traits of the model's set, each in a folder of its own, with one load of the model",
    )
    .option(
      '--out <dir>',
      'run folder; a stopped run in it is continued (default: runs/<trait>); with --all the folder of the run folders (default: runs)',
    )
    .option(
      '--trait-set <name>',
      'set of shipped traits that <trait> is looked for in (default: as the model says)',
    );
  addOptions(command, [...rolloutFlags(), ...vectorFlags(), ...steeringFlags(), ...judgedDryRunFlags]);
  return command.option('--json', 'print the result as JSON').action(async (first, second) => {
    const flags = command.opts() as ExtractCommandFlags;
    // One name alone is a trait, of the model that ships, unless it is a model's folder; with --all there is no trait to name.
    const isAlone = second === undefined && flags.all !== true && command.args.length === 1;
    const one = isAlone && (await pathKind(first)) !== 'folder';
    const [model, trait] = one ? [shippedModelFolder(), first] : [first, second];
    if (flags.all === true) await runAllTraits(model, trait, flags, signal);
    else await runOneTrait(model, trait, flags, signal);
  });
}

async function runOneTrait(
  model: string,
  trait: string | undefined,
  flags: ExtractCommandFlags,
  signal: AbortSignal,
): Promise<void> {
  if (trait === undefined)
    throw new UsageError('Expected a trait, or --all for those of the model, got neither.');
  if (flags.dryRun === true) {
    const found = await findTrait(model, trait, flags);
    const rollouts = await readRollouts(flags, found);
    const { estimateExtraction } = await import('../extract-estimate.ts');
    printEstimate(await estimateExtraction(model, flags, { trait: found, ...rollouts }), flags.json === true);
    return;
  }
  const result = await runExtraction(model, trait, flags, signal);
  const { describeExtraction, extractSummary } = await import('../extract-result.ts');
  if (flags.json === true) printJson(extractSummary(result));
  else print(describeExtraction(result));
}

async function runAllTraits(
  model: string,
  trait: string | undefined,
  flags: ExtractCommandFlags,
  signal: AbortSignal,
): Promise<void> {
  const single = trait === undefined ? (flags.pos ?? flags.neg) : trait;
  if (single !== undefined) {
    throw new UsageError(`Expected --all without a trait, and without rollouts of one, got "${single}".`);
  }
  if (flags.dryRun === true) {
    const { estimateExtraction } = await import('../extract-estimate.ts');
    printEstimate(await estimateExtraction(model, flags, null), flags.json === true);
    return;
  }
  const [{ runAll }, { describeAll, extractSummary }] = await Promise.all([
    import('../extract-all.ts'),
    import('../extract-result.ts'),
  ]);
  const outcomes = await runAll(model, flags, signal);
  if (flags.json === true) {
    printJson(
      outcomes.map(({ result, ...outcome }) => ({ ...outcome, ...(result && extractSummary(result)) })),
    );
  } else {
    print(describeAll(outcomes));
  }
  const failures = outcomes.flatMap(({ failure }) => failure ?? []);
  if (failures.length > 0) {
    throw new DataError(`${failures.length} of ${outcomes.length} traits gave no vector. ${failures[0]!}`);
  }
}

type ExtractCommandFlags = EstimateExtractFlags & {
  readonly all?: true | undefined;
  readonly json?: true | undefined;
};

async function findTrait(modelName: string, traitName: string, flags: ExtractCommandFlags): Promise<Trait> {
  const [{ findModelFolder }, { resolveTrait }] = await Promise.all([
    import('../../model/hub-cache.ts'),
    import('../../persona/trait.ts'),
  ]);
  const { folder: modelFolder } = await findModelFolder(modelName);
  return resolveTrait(traitName, { set: flags.traitSet, modelFolder });
}

/** Loads the model, runs the extraction that the flags ask for, and closes all. */
export async function runExtraction(
  modelName: string,
  traitName: string,
  flags: ExtractCommandFlags,
  signal: AbortSignal,
): Promise<ExtractResult> {
  const [{ extract }, { runFolderName }, { withExtractScene }] = await Promise.all([
    import('../../persona/extract.ts'),
    import('../../apps/extract-all.ts'),
    import('../extract-scene.ts'),
  ]);
  const trait = await findTrait(modelName, traitName, flags);
  const rollouts = await readRollouts(flags, trait);
  const out = flags.out ?? join('runs', runFolderName(trait.name));
  return withExtractScene(modelName, flags, out, async ({ model, judges, progress }) => {
    const judge = judges.forTrait(trait);
    const onProgress = showExtraction(progress);
    const given = { ...toExtractOptions(flags), ...rollouts };
    return extract({ ...given, model, trait, out, judge, signal, onProgress });
  });
}

/** The files of `--pos` and `--neg`, read before any weight is. */
async function readRollouts(
  { pos, neg }: ExtractFlags,
  trait: Trait,
): Promise<Pick<ExtractOptions, 'rollouts'>> {
  if (pos === undefined && neg === undefined) return {};
  if (pos === undefined || neg === undefined) {
    throw new UsageError(
      `Expected the rollouts of both poles, got only --${pos === undefined ? 'neg' : 'pos'}; give --pos and --neg.`,
    );
  }
  const { readGivenRollouts } = await import('../../persona/given-rollouts.ts');
  return { rollouts: await readGivenRollouts({ pos, neg }, trait) };
}
