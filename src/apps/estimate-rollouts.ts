import type { Checkpoint } from '../model/checkpoint.ts';
import { encodePrompt } from '../persona/prompt.ts';
import type { PlannedRollout } from '../persona/rollouts.ts';
import type { Trait } from '../persona/trait.ts';
import type { CountedStep } from './estimate.ts';
import { countReplies, type PlannedRow } from './estimate-parts.ts';

/** Rollouts that a command would make in one step. */
export interface PlannedStep {
  readonly step: string;
  readonly rollouts: readonly PlannedRollout[];
  /** Longest reply. */
  readonly maxTokens: number;
}

/** Counts steps of rollouts: prompts exactly, replies as if each were as long as allowed. */
export function countRollouts(
  steps: readonly PlannedStep[],
  {
    checkpoint,
    trait,
    batchRows,
  }: { readonly checkpoint: Checkpoint; readonly trait: Trait; readonly batchRows?: number | undefined },
): CountedStep[] {
  const encoded = new Map<string, readonly number[]>();
  const encode = ({ system, question, turns = [] }: PlannedRollout): readonly number[] => {
    const name = JSON.stringify([system, question, turns]);
    const ids = encoded.get(name) ?? encodePrompt(checkpoint, trait, { system, question, turns }).ids;
    encoded.set(name, ids);
    return ids;
  };
  return steps.map(({ step, rollouts, maxTokens }) => {
    const rows = rollouts.map((rollout): PlannedRow => {
      return { ids: encode(rollout), group: rollout.interventions };
    });
    return countReplies(step, rows, { maxTokens, checkpoint, batchRows });
  });
}

/** Of a reply in a file of rollouts: what is written beside its text and ids, and what a token takes as both. */
const [rowBytes, tokenBytes] = [600, 10];

/** Bytes of a step's file of rollouts. */
export function rolloutBytes({ rows, newTokens }: CountedStep): number {
  return rowBytes * rows + tokenBytes * newTokens;
}
