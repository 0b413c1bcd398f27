/**
 * Writes a random checkpoint of a named shape: `tsx scripts/make-random-model.ts --shape tiny --out DIR`.
 * The memory it needs is flat in the size of the model, and equal arguments write equal bytes.
 */

import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { namedShapes, type ShapeName, writeRandomModel } from '../test/helpers/random-model.ts';

/** As the Hub's own uploads: shards of five gigabytes. */
const shardBytes = 5e9;

const options = new Command('make-random-model')
  .description('write a random checkpoint in Hugging Face layout, without a tokenizer')
  .addOption(
    new Option('--shape <name>', 'whose shape it has')
      .choices(Object.keys(namedShapes) as ShapeName[])
      .makeOptionMandatory(),
  )
  .addOption(
    new Option('--dtype <type>', 'of every weight')
      .choices(['f32', 'f16', 'bf16'] as const)
      .default('f32' as const),
  )
  .option('--seed <n>', 'equal seeds give equal weights', toSeed, 0)
  .requiredOption('--out <folder>', 'made where it is absent')
  .parse()
  .opts();

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
await writeRandomModel(options.out, namedShapes[options.shape], {
  seed: options.seed,
  dtype: dtypes[options.dtype],
  shardBytes,
});
console.log(`${options.shape} with random ${options.dtype} weights: ${options.out}`);

function toSeed(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}
