import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Dtype } from '../../engine/model.ts';
import { poolings } from '../../engine/types.ts';
import { AbortError } from '../../errors.ts';
import type { ExtractResult } from '../../persona/extract.ts';
import type { ExtractOptions } from '../../persona/extract-options.ts';
import type { ExtractEvent, ExtractStep } from '../../persona/progress.ts';
import { strengthUnits } from '../../persona/strength.ts';
import { defined } from '../../util/defined.ts';
import { blockOption, decimal, dtypeOption, numbers, wholeNumber, wholeNumbers } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { createProgress, noteBeside } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { note, print, printJson } from '../terminal.ts';

const positions = ['all', 'prompt', 'response', 'boundary'] as const;

/**
 * `persona extract`: a trait's vector at every layer, and whether it steers. What a flag that is not given means is the
 * library's to decide; the texts here repeat it, and a test compares them.
 */
export function extractCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('extract')
    .description("find a trait's vector at every layer, and measure whether it steers")
    .argument('<model>', 'folder, or owner/name in the Hugging Face cache')
    .argument('<trait>', 'a trait that ships with the package, or a trait file')
    .option('--out <dir>', 'run folder; a stopped run in it is continued (default: runs/<trait>)')
    .option(
      '--trait-set <name>',
      'set of shipped traits that <trait> is looked for in (default: as the model says)',
    )
    .option('--samples <n>', 'rollouts of an instruction, question and pole (default: 10)', wholeNumber(1))
    .option('--max-tokens <n>', 'longest reply (default: 96)', wholeNumber(1))
    .option('--temperature <x>', 'of the rollouts (default: 1)', decimal(0))
    .option('--top-p <x>', 'of the rollouts (default: 1)', decimal(0, 1))
    .option('--seed <n>', 'equal seeds and options give equal files (default: 0)', wholeNumber(0))
    .addOption(
      new Option('--pool <name>', 'tokens whose mean the vector is (default: response_mean)').choices(
        poolings,
      ),
    )
    .addOption(
      new Option('--positions <name>', 'where the vector is added (default: response)').choices(positions),
    )
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--threshold <x>', 'trait score and coherence that keep a pair (default: 50)', decimal(0, 100))
    .option('--coherence-floor <x>', 'of a recommended strength (default: 75)', decimal(0, 100))
    .addOption(
      new Option(
        '--strength-unit <name>',
        "of strengths: a share of the stream's norm, a norm, or a coefficient of the vector (default: fraction)",
      ).choices(strengthUnits),
    )
    .option('--layers <list>', 'layers of the sweep (default: at most eight, evenly spread)', wholeNumbers)
    .option('--strengths <list>', 'strengths of the sweep (default: -0.4,-0.2,0.2,0.4)', numbers)
    .option('--sweep-samples <n>', 'rollouts of a question in a cell (default: 3)', wholeNumber(1))
    .option('--no-sweep', 'leave the sweep out')
    .option('--dose-layer <n>', 'layer of the dose response (default: as the sweep finds)', wholeNumber(1))
    .option(
      '--dose-strengths <list>',
      'strengths of the dose response (default: -0.4,-0.2,-0.1,0,0.1,0.2,0.4)',
      numbers,
    )
    .option('--dose-samples <n>', 'rollouts of a question and strength (default: 200 in all)', wholeNumber(1))
    .option('--random-directions <n>', 'random directions to compare with (default: 20)', wholeNumber(2))
    .option(
      '--random-samples <n>',
      'rollouts of a question at their ends (default: 50 in all)',
      wholeNumber(1),
    )
    .option('--no-dose-response', 'leave the dose response out')
    .option('--force', 'go on with fewer than 30 pairs')
    .option('--json', 'print the result as JSON')
    .action((model, trait, options) => runCommand(model, trait, options, signal));
}

async function runCommand(
  model: string,
  trait: string,
  options: ExtractFlags & { readonly json?: true | undefined },
  signal: AbortSignal,
): Promise<void> {
  const result = await runExtraction(model, trait, options, signal);
  if (options.json === true) {
    printJson(summary(result));
    return;
  }
  const { describeExtraction } = await import('../extract-result.ts');
  print(describeExtraction(result));
}

/** The flags of the command, as commander gives them. */
interface ExtractFlags {
  readonly out?: string | undefined;
  readonly traitSet?: string | undefined;
  readonly samples?: number | undefined;
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  readonly pool?: (typeof poolings)[number] | undefined;
  readonly positions?: (typeof positions)[number] | undefined;
  readonly dtype?: Dtype | undefined;
  readonly block?: 32 | 128 | undefined;
  readonly threshold?: number | undefined;
  readonly coherenceFloor?: number | undefined;
  readonly strengthUnit?: (typeof strengthUnits)[number] | undefined;
  readonly layers?: number[] | undefined;
  readonly strengths?: number[] | undefined;
  readonly sweepSamples?: number | undefined;
  readonly sweep: boolean;
  readonly doseLayer?: number | undefined;
  readonly doseStrengths?: number[] | undefined;
  readonly doseSamples?: number | undefined;
  readonly randomDirections?: number | undefined;
  readonly randomSamples?: number | undefined;
  readonly doseResponse: boolean;
  readonly force?: true | undefined;
}

async function runExtraction(
  modelName: string,
  traitName: string,
  flags: ExtractFlags,
  signal: AbortSignal,
): Promise<ExtractResult> {
  const [{ loadModel }, { extract }, { findModelFolder }, { resolveTrait }] = await Promise.all([
    import('../../engine/load.ts'),
    import('../../persona/extract.ts'),
    import('../../model/hub-cache.ts'),
    import('../../persona/trait.ts'),
  ]);
  const { folder: modelFolder } = await findModelFolder(modelName);
  const trait = await resolveTrait(traitName, { set: flags.traitSet, modelFolder });
  const progress = createProgress({ unit: 'rollouts' });
  const { dtype, block: blockSize } = flags;
  const model = await loadModel(
    modelName,
    defined({ dtype, blockSize, onNotice: (line: string) => noteBeside(progress, line) }),
  );
  const out = flags.out ?? defaultFolder(trait.name);
  try {
    return await extract({
      ...toOptions(flags),
      model,
      trait,
      out,
      signal,
      onProgress: (event) => showEvent(event, progress),
    });
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(`Stopped; what is finished is kept in "${out}", and the same command continues.`);
  } finally {
    progress.end();
    await model.close();
  }
}

/** The flags as the library's options; what is not given stays absent. */
function toOptions(flags: ExtractFlags): Omit<ExtractOptions, 'model' | 'trait' | 'out'> {
  const { samples, maxTokens, temperature, topP, seed, positions, strengthUnit, threshold } = flags;
  const { layers, strengths, doseLayer, doseStrengths, randomDirections, randomSamples } = flags;
  const { coherenceFloor, force } = flags;
  return defined({
    samples,
    maxTokens,
    temperature,
    topP,
    seed,
    positions,
    strengthUnit,
    threshold,
    coherenceFloor,
    force,
    pooling: flags.pool,
    sweep: flags.sweep && defined({ layers, strengths, samples: flags.sweepSamples }),
    doseResponse:
      flags.doseResponse &&
      defined({
        layer: doseLayer,
        strengths: doseStrengths,
        samples: flags.doseSamples,
        randomDirections,
        randomSamples,
      }),
  });
}

/** A trait may be called anything; a folder of its name may not. */
function defaultFolder(trait: string): string {
  return `runs/${trait.replace(/[^\p{L}\p{N}_-]+/gu, '-')}`;
}

const stepNames: Readonly<Record<ExtractStep, string>> = {
  rollouts: 'both poles',
  vector: 'vector',
  sweep: 'layer × strength sweep',
  'dose-response': 'dose response',
  report: 'report',
};

function showEvent(event: ExtractEvent, progress: Progress): void {
  switch (event.type) {
    case 'step-start':
      break;
    case 'step-progress':
      progress.update(
        `${stepNames[event.step]}${event.phase === 'judge' ? ', judge' : ''}`,
        event.done,
        event.total,
      );
      break;
    case 'step-end':
      progress.end();
      if (event.reused) note(`${stepNames[event.step]}: already there`);
      break;
    case 'note':
      noteBeside(progress, `note: ${event.message}`);
      break;
    default:
      event satisfies never;
  }
}

/** What programs want of a run, under the names of its files. */
function summary({ folder, vector, counts, sweep, doseResponse, report }: ExtractResult): object {
  const { trait, model, pooling, recommendedLayer, recommendedStrength } = vector.metadata;
  return {
    folder,
    trait,
    model,
    pooling,
    counts,
    recommended_layer: recommendedLayer,
    recommended_strength: recommendedStrength,
    sweep,
    dose_response: doseResponse,
    report,
  };
}
