/** Quantises a model into the cache, on the compiled package: `quantise.ts PACKAGE FOLDER DTYPE BLOCK`. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { prepareWeights, WeightRecipe } from '../src/engine/quantised-weights.ts';
import type { loadCheckpoint } from '../src/model/checkpoint.ts';

const [root, folder, dtype, blockSize] = process.argv.slice(2) as [string, string, string, string];
const load = async <Module>(path: string): Promise<Module> =>
  (await import(pathToFileURL(join(root, path)).href)) as Module;
const quantiser = await load<{ prepareWeights: typeof prepareWeights }>('engine/quantised-weights.js');
const checkpoints = await load<{ loadCheckpoint: typeof loadCheckpoint }>('model/checkpoint.js');
const recipe = { bits: dtype === 'int8' ? 8 : 4, blockSize: Number(blockSize) } as WeightRecipe;
await quantiser.prepareWeights(await checkpoints.loadCheckpoint(folder), recipe);
