import { z } from 'zod';
import { DataError } from '../errors.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import { readJsonl } from '../store/jsonl.ts';
import { type RolloutCsvRow, parseRolloutCsv, readRolloutText } from '../store/rollout-csv.ts';
import { scoresSchema } from '../store/rollout-schema.ts';
import { describeIssues } from '../store/schema.ts';
import { sha256 } from '../util/hash.ts';
import type { Scores } from './judge.ts';
import { type Pole, poles } from './poles.ts';
import type { Trait } from './trait.ts';

/** What a given reply answers: text as the model saw it, a conversation, or a question under an instruction. */
export type GivenPrompt =
  | { readonly text: string }
  | { readonly messages: readonly ChatMessage[] }
  | { readonly system: string | null; readonly question: string };

/** A reply that was sampled elsewhere. */
export interface GivenRollout {
  readonly key: string;
  readonly ids: Readonly<Record<string, string | number>>;
  readonly question: string;
  readonly prompt: GivenPrompt;
  readonly answer: string;
  /** `question_id` of the authors' files; empty where there is none. */
  readonly questionId: string;
  /** Null where it is still to be judged. */
  readonly scores: Scores | null;
  /** For messages: the file and its row. */
  readonly where: string;
}

/** Both poles' rollouts as they were read. */
export interface GivenRollouts {
  /** Positive ones first, in the order of their files. */
  readonly rows: readonly GivenRollout[];
  /** Whether partners are found by their place in the files, as in the authors' code, because not all rows have ids. */
  readonly byOrder: boolean;
  readonly files: Readonly<Record<Pole, { readonly rows: number; readonly sha256: string }>>;
}

/**
 * Reads rollouts made elsewhere: the authors' `{trait}_{pos|neg}_instruct.csv`, or JSON lines of `prompt` and `answer`, of
 * `messages`, or of a run's own `rollouts.jsonl` (which may be given for both poles). Scores are taken from the columns
 * or keys named after the trait and `coherence`; a file with neither is judged.
 *
 * @throws DataError naming file and row for what cannot be used.
 */
export async function readGivenRollouts(
  paths: Readonly<Record<Pole, string>>,
  trait: Trait,
): Promise<GivenRollouts> {
  const raw = { pos: await readPole(paths.pos, 'pos', trait), neg: await readPole(paths.neg, 'neg', trait) };
  for (const pole of poles) {
    if (raw[pole].length > 0) continue;
    throw new DataError(`"${paths[pole]}": expected at least one rollout of the pole ${pole}, got none.`, {
      details: { file: paths[pole] },
    });
  }
  const byOrder = poles.some((pole) => raw[pole].some(({ place }) => place === null));
  const rows = poles.flatMap((pole) => nameRows(raw[pole], pole, byOrder));
  const fileOf = (pole: Pole): { rows: number; sha256: string } => ({
    rows: raw[pole].length,
    sha256: sha256(JSON.stringify(raw[pole].map(({ where: _, ...row }) => row))),
  });
  return { rows, byOrder, files: { pos: fileOf('pos'), neg: fileOf('neg') } };
}

/** Where a rollout stands in the plan of an extraction; the sample may be still to be counted. */
interface Place {
  readonly instruction: number;
  readonly question: number;
  readonly sample: number | null;
}

interface RawRollout extends Omit<GivenRollout, 'key' | 'ids'> {
  readonly place: Place | null;
}

async function readPole(path: string, pole: Pole, trait: Trait): Promise<RawRollout[]> {
  if (/\.csv$/i.test(path)) {
    const rows = parseRolloutCsv(await readRolloutText(path), path, trait.name);
    return rows.map((row, i) => fromColumns(row, pole, `"${path}", row ${i + 1}`, trait));
  }
  const rows: RawRollout[] = [];
  for await (const { line, value } of readJsonl(path, z.unknown())) {
    const row = fromJson(value, pole, `"${path}", line ${line}`, trait);
    if (row !== null) rows.push(row);
  }
  return rows;
}

function fromColumns(row: RolloutCsvRow, pole: Pole, where: string, trait: Trait): RawRollout {
  const { question, prompt, answer, questionId } = row;
  return {
    question,
    prompt: { text: prompt },
    answer,
    questionId,
    scores: pairScores(row.trait, row.coherence, where, trait),
    where,
    place: placeOf(questionId, pole, where),
  };
}

/** Both scores or neither: half a judgement would pass for a refusal. */
function pairScores(
  score: number | null | undefined,
  coherence: number | null | undefined,
  where: string,
  trait: Trait,
): Scores | null {
  if (score === undefined && coherence === undefined) return null;
  if (score !== undefined && coherence !== undefined) return { trait: score, coherence, raw: null };
  const missing = score === undefined ? trait.name : 'coherence';
  throw new DataError(
    `${where}: expected scores "${trait.name}" and "coherence", got no "${missing}"; give both, or neither to have the rows judged.`,
    { details: { where } },
  );
}

function placeOf(questionId: string, pole: Pole, where: string): Place | null {
  const match = /_(\d+)_(pos|neg)_(\d+)$/.exec(questionId);
  if (match === null) return null;
  if (match[2] !== pole) {
    throw new DataError(
      `${where}: expected a rollout of the pole ${pole}, got question_id "${questionId}"; are the two files swapped?`,
      { details: { where } },
    );
  }
  return { instruction: Number(match[3]), question: Number(match[1]), sample: null };
}

const score = z.number().min(0).max(100).nullish();
const idsSchema = z.object({
  pole: z.enum(poles),
  instruction: z.int(),
  question: z.int(),
  sample: z.int(),
});
const ownSchema = z.object({
  ids: z.union([idsSchema, z.record(z.string(), z.unknown())]),
  system: z.string().nullable(),
  question: z.string(),
  text: z.string(),
  scores: scoresSchema.optional(),
});
const answerSchema = z.object({
  prompt: z.string(),
  answer: z.string(),
  question: z.string().default(''),
  question_id: z.string().default(''),
});
const conversationSchema = z.object({
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(2),
  question_id: z.string().default(''),
});

/** Null for a run's own row of the other pole. */
function fromJson(value: unknown, pole: Pole, where: string, trait: Trait): RawRollout | null {
  const object = parse(z.record(z.string(), z.unknown()), value, where);
  if ('text' in object && 'ids' in object) return fromOwn(parse(ownSchema, value, where), pole, where);
  const scores = pairScores(
    parse(score, object[trait.name], where),
    parse(score, object['coherence'], where),
    where,
    trait,
  );
  if ('messages' in object) {
    const { messages, question_id: questionId } = parse(conversationSchema, value, where);
    const reply = messages.at(-1)!;
    if (reply.role !== 'assistant') {
      throw new DataError(`${where}: expected the last message to be the assistant's, got "${reply.role}".`, {
        details: { where },
      });
    }
    const before = messages.slice(0, -1);
    const question = before.findLast(({ role }) => role === 'user')?.content ?? '';
    const place = placeOf(questionId, pole, where);
    return {
      question,
      prompt: { messages: before },
      answer: reply.content,
      questionId,
      scores,
      where,
      place,
    };
  }
  const { prompt, answer, question, question_id: questionId } = parse(answerSchema, value, where);
  const place = placeOf(questionId, pole, where);
  return { question, prompt: { text: prompt }, answer, questionId, scores, where, place };
}

function fromOwn(row: z.infer<typeof ownSchema>, pole: Pole, where: string): RawRollout | null {
  const { system, question, text: answer, scores = null } = row;
  const ids = idsSchema.safeParse(row.ids);
  if (ids.success && ids.data.pole !== pole) return null;
  const place = ids.success ? ids.data : null;
  return { question, prompt: { system, question }, answer, questionId: '', scores, where, place };
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new DataError(
    `${where}: expected "prompt" and "answer", "messages", or a row of a run's rollouts.jsonl, but ${describeIssues(parsed.error)}.`,
    { details: { where }, cause: parsed.error },
  );
}

function nameRows(rows: readonly RawRollout[], pole: Pole, byOrder: boolean): GivenRollout[] {
  const counts = new Map<string, number>();
  return rows.map(({ place, ...row }, index) => {
    if (byOrder || place === null) return { ...row, key: `${pole}/row/${index}`, ids: { pole, row: index } };
    const { instruction, question } = place;
    const name = `${instruction}/${question}`;
    const sample = place.sample ?? counts.get(name) ?? 0;
    counts.set(name, sample + 1);
    return { ...row, key: `${pole}/${name}/${sample}`, ids: { pole, instruction, question, sample } };
  });
}
