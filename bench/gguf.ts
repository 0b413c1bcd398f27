/** A model in quantised GGUF beside its twin in safetensors: once the cache is written, they should cost the same. */

import type { LanguageModel } from '../src/engine/model.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { GgufType } from '../src/model/gguf-types.ts';
import { decodePrompt, timeSteps } from './decode.ts';
import type { Part, Variant } from './part.ts';
import { rowIds, whole } from './part.ts';
import { headOperations } from './products.ts';

/** Rows side by side while tokens are generated. */
const batch = 16;

/** What is timed of either model. */
interface Work {
  /** Of the prefill. */
  readonly tokens: number;
  /** Of generation, a token a row each. */
  readonly steps: number;
}

/** Two parts: a prefill with all layers pooled, and decode. `gguf` and `safetensors` hold the same model. */
export function ggufParts(
  gguf: LanguageModel,
  safetensors: LanguageModel,
  type: GgufType,
  { tokens, steps }: Work,
): Part[] {
  const both = [
    [`GGUF of ${type}`, gguf],
    ['safetensors', safetensors],
  ] as const;
  const title = `GGUF of ${type} beside safetensors`;
  return [
    partOf(
      `${title}: prefill of ${tokens} tokens`,
      both.map(([name, model]) => prefill(name, model, tokens)),
    ),
    partOf(
      `${title}: decode at batch ${batch}, ${steps} steps`,
      both.map(([name, model]) => decode(name, model, steps)),
    ),
  ];
}

function partOf(title: string, variants: readonly Variant[]): Part {
  const [ours, theirs] = variants as readonly [Variant, Variant];
  const label = `${ours.name} against ${theirs.name}`;
  return {
    title,
    variants,
    comparisons: [{ label, variant: ours.name, against: [theirs.name], target: 0.95 }],
  };
}

function prefill(name: string, model: LanguageModel, tokens: number): Variant {
  const ids = rowIds(tokens, model.checkpoint.config.vocabSize);
  return {
    name,
    tokens,
    operations: tokens * operationsPerToken(model.checkpoint),
    run: whole(async () => {
      for await (const _ of model.forward([{ ids }], { pool: ['prompt_mean', 'prompt_last'] }));
    }),
  };
}

function decode(name: string, model: LanguageModel, steps: number): Variant {
  const { checkpoint } = model;
  const ids = rowIds(decodePrompt, checkpoint.config.vocabSize);
  const tokens = batch * steps;
  return {
    name,
    tokens,
    operations: tokens * (operationsPerToken(checkpoint) + headOperations(checkpoint)),
    run: () =>
      timeSteps(
        model,
        Array.from({ length: batch }, () => ({ ids })),
        steps,
        {},
      ),
  };
}
