import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import os from 'node:os';
import { type Dtype, dtypes } from '../src/engine/model.ts';
import { namedShapes, type ShapeName } from '../test/helpers/random-model.ts';

/** What can be run alone. */
export const partNames = [
  'prefill',
  'decode',
  'extract',
  'sweep',
  'screen',
  'gguf',
  'lora',
  'full',
  'start',
  'latency',
] as const;
export type PartName = (typeof partNames)[number];

/** What one run of the benchmark is. */
export interface BenchOptions {
  readonly shape: ShapeName;
  readonly only: readonly PartName[];
  readonly dtype: readonly Dtype[];
  readonly block: 32 | 128;
  readonly purpose: 'generate' | 'one-pass';
  readonly threads: number;
  readonly rounds: number;
  readonly tokens: number;
  readonly batch: readonly number[];
  readonly steps: number;
  readonly quick: boolean;
  /** A Python with torch, transformers and peft; null without it. */
  readonly peer: string | null;
  /** A folder whose tokenizer a large model is given; null without it. */
  readonly tokenizer: string | null;
  readonly json: string | null;
  readonly keep: boolean;
  /** Of the random model, the quantised weights and what the phases write. */
  readonly folder: string;
}

/** Shapes that are run once, phase by phase, instead of being timed in rounds. */
export function isLarge(shape: ShapeName): boolean {
  return shape === 'qwen2.5-7b' || shape === 'llama-3.1-8b';
}

export function parseOptions(): BenchOptions {
  const given = command().parse().opts();
  const shape = given.shape === '7b' ? 'qwen2.5-7b' : given.shape;
  const quick = given.quick === true;
  const { tmp, peer, tokenizer, json, keep, ...rest } = given;
  return {
    ...rest,
    shape,
    quick,
    dtype: given.dtype ?? (isLarge(shape) ? ['int8', 'int4'] : dtypes),
    rounds: quick ? 3 : given.rounds,
    tokens: quick ? 128 : given.tokens,
    steps: quick ? 4 : given.steps,
    peer: peer ?? null,
    tokenizer: tokenizer ?? null,
    json: json ?? null,
    keep: keep === true,
    folder: tmp,
  };
}

function command() {
  return new Command('bench')
    .description(
      'Times the engine on a random model of a published shape, beside its own matrix products alone and, with --peer, beside PyTorch. bench/protocol.md says how to read it.',
    )
    .addOption(
      new Option(
        '--shape <name>',
        'of the random model; 7b (qwen2.5-7b) and llama-3.1-8b run once, by phases',
      )
        .choices([...(Object.keys(namedShapes) as ShapeName[]), '7b' as const])
        .default<ShapeName | '7b'>('qwen2.5-0.5b'),
    )
    .option('--only <parts>', `some of ${partNames.join(', ')}`, listOf(partNames), [...partNames])
    .option(
      '--dtype <names>',
      `some of ${dtypes.join(', ')} (default: all; of a 7B int8,int4)`,
      listOf(dtypes),
    )
    .addOption(
      new Option('--block <n>', 'weights that share a scale, for int8 and int4')
        .argParser((text): 32 | 128 => (positive(text) === 128 ? 128 : 32))
        .default(32 as const),
    )
    .addOption(
      new Option('--purpose <name>', 'how the weights are loaded')
        .choices(['generate', 'one-pass'] as const)
        .default('generate' as const),
    )
    .option('--threads <n>', 'threads of the runtime', positive, os.availableParallelism())
    .option('--rounds <n>', 'rounds that count', positive, 7)
    .option('--tokens <n>', 'tokens of the prefill, a multiple of 8', positive, 512)
    .option('--batch <list>', 'rows side by side in decode', positives, [1, 16, 64])
    .option('--steps <n>', 'tokens a row in decode; twice as many in extraction and screening', positive, 24)
    .option('--peer <python>', 'a Python with torch, transformers and peft, timed in the same rounds')
    .option(
      '--tokenizer <folder>',
      'tokenizer.json and tokenizer_config.json for a large model, which `persona chat` and `persona extract` need',
    )
    .option('--quick', 'few rounds of little work: to see that it runs, not to quote')
    .option(
      '--json <file>',
      'where to write the numbers; default: bench/results/DATE-SHAPE.json, none with --quick',
    )
    .option('--tmp <folder>', 'for models and weights', `${os.tmpdir()}/persona-bench`)
    .option('--keep', 'leave them there for the next run');
}

function positive(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number above 0.');
  return Number(text);
}

function positives(text: string): number[] {
  return text.split(',').map(positive);
}

function listOf<const Name extends string>(known: readonly Name[]): (text: string) => readonly Name[] {
  return (text) =>
    text.split(',').map((part) => {
      const name = known.find((one) => one === part);
      if (name === undefined) throw new InvalidArgumentError(`Expected some of ${known.join(', ')}.`);
      return name;
    });
}
