import type { MonitorSettings } from '../../src/server/monitor-settings.ts';
import type { Baseline } from '../../src/store/baseline-file.ts';
import { distributionOf } from '../../src/persona/projection/baseline.ts';
import type { PersonaVector } from '../../src/persona/vector.ts';
import { directionHash } from '../../src/training/directions.ts';
import { compiledFile } from './build.ts';

/** A store for tests, whose threads run compiled code. */
export function monitorAt(file: string, change: Partial<MonitorSettings> = {}): MonitorSettings {
  return {
    file,
    keepText: false,
    retention: { age: null, bytes: null },
    baselines: [],
    policies: null,
    webhooks: null,
    forward: [],
    threadProgram: compiledFile('server/monitor-worker.js'),
    onTrouble: (message) => {
      throw new Error(`trouble with the store: ${message}`);
    },
    ...change,
  };
}

/** A baseline of one vector at one layer, of two values in every place. */
export function baselineAround(
  vector: PersonaVector,
  layer: number,
  { mean, sd }: { readonly mean: number; readonly sd: number },
): Baseline {
  const { trait, model, pooling } = vector.metadata;
  // Two values at this distance have that standard deviation.
  const off = sd / Math.SQRT2;
  const place = distributionOf([mean - off, mean + off]);
  const places = { prompt_last: place, response_mean: place, response_token: place };
  const vector_sha256 = directionHash(vector.row(layer));
  return {
    format: 'persona-vectors/baseline/1',
    model,
    model_fingerprint: '',
    input: '',
    input_sha256: '',
    conversations: 2,
    turns: 2,
    vectors: [{ name: trait, layer, pooling, vector_sha256, places }],
  };
}
