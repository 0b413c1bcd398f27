import type { ChatMessage } from '../../model/chat-template.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { encodePrompt, systemTexts } from '../prompt.ts';
import type { PlannedRollout } from '../rollouts.ts';
import type { Trait } from '../trait.ts';

/** Exemplars before a question, as in the paper. */
export const shotCounts = [0, 5, 10, 15, 20] as const;

/** One way to ask the questions. */
export interface MonitoringCondition {
  readonly id: string;
  readonly method: 'system' | 'shots';
  /** 1 … 8 for a system prompt, from discouraging to encouraging; the number of exemplars for shots. */
  readonly level: number;
  readonly system: string | null;
  readonly turns: readonly ChatMessage[];
}

/** Replies under the trait's positive instructions, from which exemplars are taken. */
export function planShots(checkpoint: Checkpoint, trait: Trait): PlannedRollout[] {
  const { pos } = systemTexts(checkpoint, trait);
  return trait.questions.flatMap((question, q) =>
    pos.map((system, instruction): PlannedRollout => {
      const ids = { question: q, instruction };
      const key = `${q}/${instruction}`;
      return { key, ids, system, question, stream: `shots/${key}` };
    }),
  );
}

/** The first clear example of each question, in their order, and then second ones: at most as many as are asked for. */
export function chooseShots(rows: readonly ScoredRollout[], most: number): ChatMessage[][] {
  const clear = rows.filter(
    ({ scores, text }) => (scores.trait ?? 0) >= 50 && (scores.coherence ?? 0) >= 50 && text.trim() !== '',
  );
  const seen = new Set<string>();
  const isFirst = ({ question }: ScoredRollout): boolean =>
    !seen.has(question) && seen.add(question) !== null;
  const first = clear.filter(isFirst);
  const chosen = [...first, ...clear.filter((row) => !first.includes(row))].slice(0, most);
  return chosen.map(({ question, text }) => [
    { role: 'user', content: question },
    { role: 'assistant', content: text.trim() },
  ]);
}

/** All conditions; those of shots with as many exemplars as there are. */
export function monitoringConditions(
  prompts: readonly string[],
  shots: readonly (readonly ChatMessage[])[],
): MonitoringCondition[] {
  const graded = prompts.map((system, i) => ({
    id: `system ${i + 1}`,
    method: 'system' as const,
    level: i + 1,
    system,
    turns: [],
  }));
  const many = shotCounts
    .filter((count) => count <= shots.length)
    .map((count) => ({
      id: `shots ${count}`,
      method: 'shots' as const,
      level: count,
      system: null,
      turns: shots.slice(0, count).flat(),
    }));
  return [...graded, ...many];
}

/** Whether every question fits into the model's context under a condition, with room for a reply. */
export function fits(
  condition: MonitoringCondition,
  {
    checkpoint,
    trait,
    maxTokens,
  }: { readonly checkpoint: Checkpoint; readonly trait: Trait; readonly maxTokens: number },
): boolean {
  const { system, turns } = condition;
  return trait.evaluationQuestions.every((question) => {
    const { ids } = encodePrompt(checkpoint, trait, { system, question, turns });
    return ids.length + maxTokens <= checkpoint.config.maxPositions;
  });
}

/** Every condition × evaluation question × sample, in this order. */
export function planMonitoring(
  conditions: readonly MonitoringCondition[],
  questions: readonly string[],
  samples: number,
): PlannedRollout[] {
  return conditions.flatMap(({ id, system, turns }) =>
    questions.flatMap((question, q) =>
      Array.from({ length: samples }, (_, sample): PlannedRollout => {
        const ids = { condition: id, question: q, sample };
        const key = Object.values(ids).join('/');
        return { key, ids, system, question, turns, stream: `monitoring/${key}` };
      }),
    ),
  );
}
