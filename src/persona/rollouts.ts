import type { Intervention } from '../engine/types.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import { type Pole, poles } from './poles.ts';

/** A rollout to be made. */
export interface PlannedRollout {
  /** Names the row on disk. */
  readonly key: string;
  readonly ids: Readonly<Record<string, string | number>>;
  readonly system: string | null;
  readonly question: string;
  /** Turns between the system prompt and the question; chat models only. */
  readonly turns?: readonly ChatMessage[];
  /** Whether its replies among `turns` are read steered, as in a cache that is kept; default: clean. */
  readonly history?: 'clean' | 'steered';
  /** Names the random numbers; rows of one name differ by their prompt and interventions alone. */
  readonly stream: string;
  /** Rows that share this very list also share their prefill. */
  readonly interventions?: readonly Intervention[];
}

/** How replies are sampled. */
export interface Sampling {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

/**
 * The extraction's rollouts: every pole × instruction × question × sample, in this order.
 *
 * @param systems The instructions as the model is given them, by pole.
 */
export function planExtraction(
  systems: Readonly<Record<Pole, readonly string[]>>,
  questions: readonly string[],
  samples: number,
): PlannedRollout[] {
  const rows: PlannedRollout[] = [];
  for (const pole of poles) {
    for (const [instruction, system] of systems[pole].entries()) {
      for (const [question, text] of questions.entries()) {
        for (let sample = 0; sample < samples; sample++) {
          const ids = { pole, instruction, question, sample };
          const key = Object.values(ids).join('/');
          rows.push({ key, ids, system, question: text, stream: `extract/${key}` });
        }
      }
    }
  }
  return rows;
}
