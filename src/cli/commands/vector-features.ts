import { Command, Option } from '@commander-js/extra-typings';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../../errors.ts';
import { wholeNumber } from '../arguments.ts';
import { print, printJson } from '../terminal.ts';
import { readVector } from './vector.ts';

/** `persona vector features`: what a direction is made of, by a sparse autoencoder's features. */
export function featuresCommand() {
  const command = new Command('features')
    .description("rank a sparse autoencoder's features by cosine with a vector")
    .argument('<vector>', 'a vector file, a run folder, a .pt or a GGUF control vector')
    .requiredOption('--sae <file>', "safetensors with the autoencoder's decoder")
    .option('--layer <n>', 'that the autoencoder reads (default: as the vector recommends)', wholeNumber(1))
    .option('--top <n>', 'how many', wholeNumber(1), 50)
    .addOption(
      new Option('--by <what>', 'the highest cosine, or the highest of either sign')
        .choices(['cosine', 'size'] as const)
        .default('cosine' as const),
    )
    .option('--tensor <name>', 'of the decoder (default: W_dec or decoder.weight)')
    .option('--pool <name>', "which of the vector's poolings (default: the one it recommends)")
    .option('--out <dir>', 'write each of them as a vector to steer with, as long as the trait vector')
    .option('--json', 'print the result as JSON');
  return command.action(async (path) => {
    const { sae, top, by, tensor, pool, out, json, ...flags } = command.opts();
    const vector = await readVector(path, { pool });
    const layer = flags.layer ?? vector.metadata.recommendedLayer;
    if (layer === null)
      throw new UsageError('Expected the layer that the autoencoder reads, got none; give --layer.');
    const [{ openSaeDecoder, readFeatures }, { featureCosines, topFeatures }] = await Promise.all([
      import('../../store/sae-decoder.ts'),
      import('../../persona/sae-features.ts'),
    ]);
    const decoder = await openSaeDecoder(sae, vector.width, tensor);
    const features = topFeatures(await featureCosines(vector.direction(layer), decoder), top, by);
    const files = features.map(({ id }) =>
      out === undefined ? null : join(out, `feature-${id}.safetensors`),
    );
    if (out !== undefined) {
      const directions = await readFeatures(
        decoder,
        features.map(({ id }) => id),
      );
      await mkdir(out, { recursive: true });
      for (const [i, { id }] of features.entries())
        await vector.substitute(layer, directions[i]!, `feature ${id}`).save(files[i]!);
    }
    if (json === true) {
      const rows = features.map((feature, i) => ({
        ...feature,
        ...(files[i] !== null && { file: files[i] }),
      }));
      printJson({
        trait: vector.metadata.trait,
        layer,
        of: decoder.features,
        tensor: decoder.tensor,
        features: rows,
      });
      return;
    }
    const { describeFeatures } = await import('../vector-result.ts');
    print(describeFeatures(vector.metadata.trait, layer, decoder.features, features));
    if (out !== undefined) print(`${features.length} vectors written to ${out}\n`);
  });
}
