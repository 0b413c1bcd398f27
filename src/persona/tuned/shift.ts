import type { LanguageModel } from '../../engine/model.ts';
import type { ForwardRow } from '../../engine/types.ts';
import { dot } from '../../util/vectors.ts';
import { type Interval, bootstrapMean } from '../bootstrap.ts';
import { encodePrompt } from '../prompt.ts';
import type { Trait } from '../trait.ts';
import { type PersonaVector, euclideanNorm } from '../vector.ts';

/** How far a model's activations lie from another's along a direction, at one layer. */
export interface LayerShift {
  readonly layer: number;
  /** Mean over the prompts of (a_tuned − a_base) · v/‖v‖. */
  readonly shift: number;
  /** 95 % bootstrap interval over the prompts. */
  readonly interval: Interval | null;
  /** Mean over the prompts of ‖a_tuned − a_base‖: of what length the shift is a part. */
  readonly moved: number;
}

/** Residual streams of the last prompt token, one `[L+1, width]` a prompt, row l = layer l. */
export type PromptStates = readonly Float32Array[];

/** The last prompt token of every question that measures the trait, put without any instruction. */
export async function promptStates(
  model: LanguageModel,
  trait: Trait,
  questions: readonly string[],
  signal?: AbortSignal,
): Promise<PromptStates> {
  const rows = questions.map(
    (question): ForwardRow => ({
      ids: encodePrompt(model.checkpoint, trait, { system: null, question }).ids,
    }),
  );
  const states: Float32Array[] = [];
  const options = { pool: ['prompt_last' as const], ...(signal === undefined ? {} : { signal }) };
  for await (const { index, pooled } of model.forward(rows, options)) states[index] = pooled.prompt_last!;
  return states;
}

/**
 * The finetuning shift of the paper at every layer of 1 … L: `(mean a_tuned − mean a_base) · v/‖v‖` over the same prompts,
 * which are drawn together by the bootstrap. Layers at which the vector is zero are left out.
 *
 * @param name Names the bootstrap's random numbers.
 */
export function finetuningShift(
  base: PromptStates,
  tuned: PromptStates,
  vector: PersonaVector,
  ...name: readonly (string | number)[]
): LayerShift[] {
  const { width } = vector;
  return Array.from({ length: vector.layers }, (_, i) => i + 1).flatMap((layer) => {
    const direction = vector.row(layer);
    const norm = vector.norm(layer);
    if (norm === 0) return [];
    const differences = base.map((before, prompt) => {
      const after = tuned[prompt]!;
      return Float64Array.from({ length: width }, (_value, k) => {
        const place = layer * width + k;
        return after[place]! - before[place]!;
      });
    });
    const along = differences.map((difference) => dot(difference, direction) / norm);
    return [
      {
        layer,
        shift: meanOf(along),
        interval: bootstrapMean(along, { name: ['shift', layer, ...name] }),
        moved: meanOf(differences.map(euclideanNorm)),
      },
    ];
  });
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
