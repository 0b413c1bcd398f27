import { z } from 'zod';
import { driftStep, noDrift } from '../apps/monitor-drift.ts';
import type { Judge, RaisedAlert } from '../store/monitor/append.ts';
import type { PolicyItem, PolicyRule } from './monitor-api.ts';

/** One rule of a policy, and one vector's score in a turn that it is to judge. */
export interface JudgedScore {
  readonly policy: string;
  readonly action: PolicyItem['action'];
  /** Where a webhook goes. */
  readonly url: string | null;
  readonly vector: string;
  readonly rule: PolicyRule;
  readonly z: number | null;
  readonly percentile: number | null;
}

const memorySchema = z.object({
  /** CUSUMs, by what they are of. */
  sums: z.array(z.tuple([z.string(), z.number()])),
  /** What is beyond its limit since an earlier turn, and raises no second alert. */
  over: z.array(z.string()),
  capped: z.array(z.object({ policy: z.string(), vector: z.string(), direction: z.enum(['up', 'down']) })),
  /** Policies that refuse what comes after. */
  refused: z.array(z.string()),
});
/** What policies remember of a conversation, after a turn. */
export type Memory = z.infer<typeof memorySchema>;
const nothing: Memory = { sums: [], over: [], capped: [], refused: [] };

export function readMemory(text: string | null): Memory {
  return text === null ? nothing : memorySchema.parse(JSON.parse(text));
}

/**
 * Judges a turn by rules, given what they remember of the turn before. A limit raises an alert where it is crossed, and not
 * again while it stays crossed. What is remembered is that of the rules which judge this turn, so that a rule that changes
 * begins anew.
 */
export const judgeTurn: Judge<JudgedScore> = (judged, text) => {
  const before = readMemory(text);
  const sums = new Map(before.sums);
  const over = new Set(before.over);
  const present = new Set(judged.map(({ policy }) => policy));
  const memory: Memory = {
    sums: [],
    over: [],
    capped: before.capped.filter(({ policy }) => present.has(policy)),
    refused: before.refused.filter((policy) => present.has(policy)),
  };
  const alerts: RaisedAlert[] = [];
  for (const score of judged) {
    const { policy, vector, rule, action, url } = score;
    const key = JSON.stringify([policy, vector, rule]);
    const { value, limit, beyond } = measure(score, sums.get(key) ?? 0);
    if (rule.type === 'cusum' && value > 0) memory.sums.push([key, value]);
    if (!beyond) continue;
    memory.over.push(key);
    if (over.has(key)) continue;
    alerts.push({ policy, vector, rule: rule.type, value, limit, action, url });
    remember(memory, score);
  }
  const empty = Object.values(memory).every((list) => list.length === 0);
  return { memory: empty ? null : JSON.stringify(memory), alerts };
};

function remember({ capped, refused }: Memory, { policy, vector, rule, action }: JudgedScore): void {
  const direction = rule.direction ?? 'up';
  const isSame = (one: Memory['capped'][number]): boolean =>
    one.policy === policy && one.vector === vector && one.direction === direction;
  if (action === 'cap' && !capped.some(isSame)) capped.push({ policy, vector, direction });
  if (action === 'refuse' && !refused.includes(policy)) refused.push(policy);
}

function measure(
  { rule, z, percentile }: JudgedScore,
  sum: number,
): { readonly value: number; readonly limit: number; readonly beyond: boolean } {
  const { direction = 'up' } = rule;
  if (rule.type === 'cusum') {
    const state = driftStep({ ...noDrift, [direction]: sum }, z, { slack: rule.k, limit: rule.h, direction });
    return { value: state[direction], limit: rule.h, beyond: state.alert !== null };
  }
  const [value, limit] = 'z' in rule ? [z, rule.z] : [percentile, rule.percentile];
  if (value === null) return { value: 0, limit, beyond: false };
  return { value, limit, beyond: direction === 'up' ? value > limit : value < limit };
}
