import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { poolings } from '../engine/types.ts';
import { type DirectionKind, directionKinds } from '../persona/directions.ts';
import type { ExtractOptions } from '../persona/extract-options.ts';
import { filterModes } from '../persona/filter.ts';
import { strengthUnits } from '../persona/strength.ts';
import { defined } from '../util/defined.ts';
import { type JudgeFlags, judgeFlags } from './judge-flags.ts';
import { type ModelFlags, modelFlags } from './model-flags.ts';
import { decimal, numbers, seedOption, wholeNumber, wholeNumbers } from './arguments.ts';

const positions = ['all', 'prompt', 'response', 'boundary'] as const;

/** The flags of `persona extract` that become options of the library, as commander gives them. */
export interface ExtractFlags extends JudgeFlags, ModelFlags {
  readonly samples?: number | undefined;
  readonly questions?: number | undefined;
  readonly instructions?: number | undefined;
  readonly pos?: string | undefined;
  readonly neg?: string | undefined;
  readonly keepThoughts?: true | undefined;
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  readonly pool?: (typeof poolings)[number] | undefined;
  readonly positions?: (typeof positions)[number] | undefined;
  readonly directions?: DirectionKind[] | undefined;
  readonly filter?: (typeof filterModes)[number] | undefined;
  readonly threshold?: number | undefined;
  readonly coherenceThreshold?: number | undefined;
  readonly coherenceFloor?: number | undefined;
  readonly strengthUnit?: (typeof strengthUnits)[number] | undefined;
  readonly layers?: number[] | undefined;
  readonly strengths?: number[] | undefined;
  readonly sweepSamples?: number | undefined;
  readonly sweep: boolean;
  readonly fine?: boolean | undefined;
  readonly heldOut?: boolean | undefined;
  readonly doseLayer?: number | undefined;
  readonly doseStrengths?: number[] | undefined;
  readonly doseSamples?: number | undefined;
  readonly randomDirections?: number | undefined;
  readonly randomSamples?: number | undefined;
  readonly doseResponse: boolean;
  readonly force?: true | undefined;
}

/** How rollouts are made. What a flag that is not given means is the library's to decide; a test compares the texts. */
export function rolloutFlags(): Option[] {
  return [
    option('--samples <n>', 'rollouts of an instruction, question and pole (default: 10)', wholeNumber(1)),
    option('--questions <n>', "the first n of the trait's questions (default: all)", wholeNumber(1)),
    option('--instructions <n>', 'the first n pairs of its instructions (default: all)', wholeNumber(1)),
    option(
      '--max-tokens <n>',
      'longest reply (default: 1000 for a chat model, at most half its context; else 96)',
      wholeNumber(1),
    ),
    option('--temperature <x>', 'of the rollouts (default: 1, or 0 with --samples 1)', decimal(0)),
    option('--top-p <x>', 'of the rollouts (default: 1)', decimal(0, 1)),
    seedOption('files'),
    new Option('--pos <file>', 'positive rollouts made elsewhere, as CSV or JSON lines, instead of sampling'),
    new Option('--neg <file>', 'the negative ones'),
    new Option('--keep-thoughts', 'pool and judge what the model thinks like the rest of its reply'),
    ...modelFlags,
  ];
}

/** Which rollouts are kept, and what is made of them. */
export function vectorFlags(): Option[] {
  return [
    new Option(
      '--pool <name>',
      'tokens whose mean the vector is (default: response_mean, or as the model says)',
    ).choices(poolings),
    option('--directions <list>', 'directions beside the difference of means: pca, probe', directionList),
    new Option(
      '--filter <name>',
      'drop both rollouts of a pair if one fails, or each for itself (default: paired)',
    ).choices(filterModes),
    option(
      '--threshold <x>',
      'trait score that keeps a positive rollout; below 100 minus it a negative one (default: 50)',
      decimal(0, 100),
    ),
    option(
      '--coherence-threshold <x>',
      'coherence that keeps a rollout (default: as --threshold)',
      decimal(0, 100),
    ),
    new Option('--force', 'go on with fewer than 30 pairs'),
    ...judgeFlags(),
  ];
}

/** How the vector is measured. */
export function steeringFlags(): Option[] {
  return [
    new Option(
      '--positions <name>',
      'where the vector is added (default: response, or as the model says)',
    ).choices(positions),
    option('--coherence-floor <x>', 'of a recommended strength (default: 75)', decimal(0, 100)),
    new Option(
      '--strength-unit <name>',
      "of strengths: a share of the stream's norm, a norm, or a coefficient of the vector (default: fraction, or as the model says)",
    ).choices(strengthUnits),
    option('--layers <list>', 'layers of the sweep (default: at most eight, evenly spread)', wholeNumbers),
    option(
      '--strengths <list>',
      'strengths of the sweep (default: -0.4,-0.2,0.2,0.4, or as the model says)',
      numbers,
    ),
    option('--sweep-samples <n>', 'rollouts of a question in a cell (default: 3)', wholeNumber(1)),
    new Option('--no-sweep', 'leave the sweep and the held-out projections out'),
    new Option('--no-fine', 'leave out the second pass of the sweep, between the cells around the best one'),
    new Option('--no-held-out', 'leave out how the projection tells held-out texts apart'),
    option('--dose-layer <n>', 'layer of the dose response (default: as the sweep finds)', wholeNumber(1)),
    option(
      '--dose-strengths <list>',
      'strengths of the dose response (default: -0.4,-0.2,-0.1,0,0.1,0.2,0.4, or as the model says)',
      numbers,
    ),
    option('--dose-samples <n>', 'rollouts of a question and strength (default: 200 in all)', wholeNumber(1)),
    option('--random-directions <n>', 'random directions to compare with (default: 20)', wholeNumber(2)),
    option(
      '--random-samples <n>',
      'rollouts of a question at their ends (default: 50 in all)',
      wholeNumber(1),
    ),
    new Option('--no-dose-response', 'leave the dose response out'),
  ];
}

/** Adds options in their order; their values are in `command.opts()`, which cannot know their types. */
export function addOptions(
  command: { addOption(option: Option): unknown },
  options: readonly Option[],
): void {
  for (const one of options) command.addOption(one);
}

/** The flags as the library's options; what is not given stays absent. */
export function toExtractOptions(flags: ExtractFlags): Omit<ExtractOptions, 'model' | 'trait' | 'out'> {
  const { samples, questions, instructions, keepThoughts, maxTokens, temperature, topP, seed } = flags;
  const { positions, strengthUnit, filter, threshold, coherenceThreshold, coherenceFloor, force } = flags;
  const { directions, layers, strengths, doseLayer, doseStrengths, randomDirections, randomSamples } = flags;
  return defined({
    samples,
    questions,
    instructions,
    keepThoughts,
    maxTokens,
    temperature,
    topP,
    seed,
    positions,
    strengthUnit,
    directions,
    filter,
    threshold,
    coherenceThreshold,
    coherenceFloor,
    force,
    pooling: flags.pool,
    sweep: flags.sweep && defined({ layers, strengths, samples: flags.sweepSamples, fine: flags.fine }),
    heldOut: flags.heldOut === false ? (false as const) : undefined,
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

function option(flags: string, description: string, parse: (text: string) => unknown): Option {
  return new Option(flags, description).argParser(parse);
}

function directionList(text: string): DirectionKind[] {
  return text.split(',').map((name) => {
    const kind = directionKinds.find((known) => known === name.trim());
    if (kind !== undefined) return kind;
    throw new InvalidArgumentError(`Expected a list of ${directionKinds.join(', ')}.`);
  });
}
