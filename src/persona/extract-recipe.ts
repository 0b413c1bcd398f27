import { SCHEMA_VERSION } from '../store/manifest.ts';
import type { Recipe } from '../store/run-folder.ts';
import type { ModelFacts, Settings } from './extract-options.ts';
import { describePrompts } from './prompt.ts';

/** All that decides the run's files. How many rows run side by side, and `force`, do not. */
export function recipeOf(settings: Settings<ModelFacts>): Recipe {
  const { checkpoint } = settings.model;
  const { maxTokens, temperature, topP, seed } = settings.sampling;
  const { mode, threshold, coherence } = settings.filter;
  return {
    schema: SCHEMA_VERSION,
    kind: 'extract',
    model: {
      id: checkpoint.id,
      revision: checkpoint.revision,
      fingerprint: settings.fingerprint,
      dtype: settings.model.precision,
    },
    trait: { name: settings.trait.name, sha256: settings.trait.sha256 },
    prompt: describePrompts(checkpoint, settings.trait),
    judge: settings.judge.id,
    ...extractionOf(settings),
    thoughts: settings.keepThoughts ? 'kept' : 'left out',
    max_tokens: maxTokens,
    evaluation_temperature: temperature,
    top_p: topP,
    seed,
    capture: [...settings.capture],
    pooling: settings.pooling,
    directions: [...settings.directions],
    positions: settings.positions,
    strength_unit: settings.unit,
    filter: mode,
    threshold,
    coherence_threshold: coherence,
    coherence_floor: settings.coherenceFloor,
    sweep:
      settings.sweep === null
        ? null
        : {
            layers: [...settings.sweep.layers],
            strengths: [...settings.sweep.strengths],
            samples: settings.sweep.samples,
            fine: settings.sweep.fine,
          },
    held_out: settings.heldOut === null ? null : { samples: settings.heldOut.samples },
    dose_response:
      settings.dose === null
        ? null
        : {
            layer: settings.dose.layer,
            strengths: [...settings.dose.strengths],
            samples: settings.dose.samples,
            random_directions: settings.dose.randomDirections,
            random_samples: settings.dose.randomSamples,
          },
  };
}

/** What the vector is made of: rollouts that are sampled, or that were given. */
function extractionOf({
  given,
  samples,
  questions,
  instructions,
  temperature,
}: Settings<ModelFacts>): Recipe {
  if (given !== null) return { rollouts: { pos: { ...given.files.pos }, neg: { ...given.files.neg } } };
  return { samples, questions, instructions, temperature };
}
