import { z } from 'zod';
import { DataError } from '../../errors.ts';
import { describeIssues } from '../schema.ts';

/** What a scored row says of one trait, in the residual stream's own units. */
export interface TraitScore {
  readonly difference: number;
  /** 0 to 100. */
  readonly percentile: number;
  /** By the screening's own threshold, and by its judge where it had one. */
  readonly flagged: boolean;
  /** 0 to 100; null without a judge, and where it refused. */
  readonly judge: number | null;
}

/** A line of `scored.jsonl`. */
export interface ScoredRow {
  /** 0-based place in the file. */
  readonly row: number;
  readonly id: string;
  readonly source: string;
  /** The mode that scored it. */
  readonly scoredBy: string;
  /** Of the reply. */
  readonly tokens: number;
  /** The prompt and, last, the reply. */
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** The model's own reply, where it was compared with one. */
  readonly baseReply: string | null;
  readonly scores: Readonly<Record<string, TraitScore>>;
}

const textSchema = z.looseObject({
  id: z.string(),
  source: z.string(),
  scored_by: z.string(),
  tokens: z.int(),
  messages: z.array(z.object({ role: z.string(), content: z.string() })).min(1),
  base_reply: z.string().nullable(),
});
const numberSchema = z.number();

/** Names of a trait's columns. */
export function scoreColumn(trait: string): string {
  return `${trait}_projection_difference`;
}

/**
 * Reads a scored row.
 *
 * @param traits Those whose scores are wanted.
 * @throws DataError for what `persona screen` does not write.
 */
export function parseScoredRow(line: string, row: number, traits: readonly string[]): ScoredRow {
  const parsed = textSchema.safeParse(parse(line, row));
  if (!parsed.success) throw badRow(row, describeIssues(parsed.error));
  const { id, source, scored_by: scoredBy, tokens, messages, base_reply: baseReply, ...rest } = parsed.data;
  const scores = Object.fromEntries(traits.map((trait) => [trait, scoreOf(rest, trait, row)]));
  return { row, id, source, scoredBy, tokens, messages, baseReply, scores };
}

function scoreOf(columns: Readonly<Record<string, unknown>>, trait: string, row: number): TraitScore {
  const numberAt = (name: string): number => {
    const parsed = numberSchema.safeParse(columns[name]);
    if (parsed.success) return parsed.data;
    throw badRow(row, `expected a number as ${JSON.stringify(name)}`);
  };
  const judge = columns[`${trait}_judge_score`];
  return {
    difference: numberAt(scoreColumn(trait)),
    percentile: numberAt(`${trait}_percentile`),
    flagged: columns[`is_${trait}_flagged`] === true,
    judge: typeof judge === 'number' ? judge : null,
  };
}

/** A line of `scored.jsonl` as trainers take it, like those of `flagged.jsonl` and `kept.jsonl`. */
export function toTrainingRow({ id, source, messages }: ScoredRow): object {
  return { id, source, messages };
}

function parse(line: string, row: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw badRow(row, `expected JSON, but ${cause instanceof Error ? cause.message : 'it is none'}`);
  }
}

function badRow(row: number, problem: string): DataError {
  return new DataError(`Row ${row + 1} of the screening: ${problem}; screen again.`);
}
