import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { mean } from 'simple-statistics';
import { UsageError } from '../errors.ts';
import { readJsonObject } from '../model/json-text.ts';
import { answersOf, metrics, rescore, sampleSpread } from '../persona/judges/answer.ts';
import type { JudgeSource, Scores } from '../persona/judge.ts';
import { lexicalJudgeOf } from '../persona/lexical-judge.ts';
import { spearman } from '../persona/statistics.ts';
import { type Trait, parseTrait } from '../persona/trait.ts';
import { storeFailure } from '../store/files.ts';
import { openJsonlLog, readJsonl } from '../store/jsonl.ts';
import { lockFolder } from '../store/lock.ts';
import { type ScoredRollout, scoreLineSchema, scoredRolloutSchema } from '../store/rollout-schema.ts';
import { judgementFile, runFiles } from '../store/run-folder.ts';

export interface JudgeRunOptions {
  /** Folder of a run whose rollouts are finished. */
  readonly run: string;
  /** Another judge to ask; default: none, the run's own scores are told. */
  readonly judges?: JudgeSource | undefined;
  /** Compute the run's scores once more from what its judge said, and say where they differ. */
  readonly again?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What one judge says of the replies under one pole. */
export interface PoleScores {
  readonly pole: string;
  readonly replies: number;
  /** Replies without a score, because the judge refused or could not be read. */
  readonly unscoredTrait: number;
  readonly unscoredCoherence: number;
  /** Means over the scored ones, 0–100; null where there are none. */
  readonly trait: number | null;
  readonly coherence: number | null;
  /** Mean standard deviation of a reply's sampled trait scores; null where none was sampled. */
  readonly spread: number | null;
}

/** How the new trait scores stand to the run's own, over the replies that both scored. */
export interface Agreement {
  readonly replies: number;
  readonly meanDifference: number | null;
  readonly meanAbsoluteDifference: number | null;
  readonly spearman: number | null;
  /** Replies that only one of the two scored. */
  readonly onlyOne: number;
}

export interface JudgedRun {
  readonly trait: string;
  readonly judge: string;
  readonly poles: readonly PoleScores[];
  /** Null where no other scores were made. */
  readonly agreement: Agreement | null;
  /** Where another judge's scores are kept; null where none were asked for. */
  readonly file: string | null;
}

/** Scores written together. */
const COMMIT_ROWS = 32;
const MAX_TRAIT_BYTES = 4 * 1024 * 1024;

/**
 * Looks at a finished run's rollouts through its own judge's stored answers, or through another judge. Another judge's scores
 * are kept in the run's `judgements` folder, apart from the run's own files, and asked for only once: a stopped call
 * continues.
 *
 * @throws StoreError or DataError for what is no finished run; UsageError where scores cannot be computed again; what a judge throws.
 */
export async function judgeRun(options: JudgeRunOptions): Promise<JudgedRun> {
  const run = resolve(options.run);
  const trait = parseTrait(await readJsonObject(join(run, runFiles.trait), MAX_TRAIT_BYTES), '');
  const rows: ScoredRollout[] = [];
  for await (const { value } of readJsonl(join(run, runFiles.rollouts), scoredRolloutSchema))
    rows.push(value);
  const own = rows.map(({ scores }) => scores);
  if (options.judges !== undefined) {
    const { judge, file, scores } = await askAnother(run, trait, rows, options.judges, options);
    return { trait: trait.name, judge, ...describe(rows, scores), agreement: compare(own, scores), file };
  }
  const judge = await ownJudge(run);
  if (options.again !== true) {
    return { trait: trait.name, judge, ...describe(rows, own), agreement: null, file: null };
  }
  const scores = judge.startsWith('lexical') ? await askOnce(trait, rows) : own.map(rescoreOrFail);
  return { trait: trait.name, judge, ...describe(rows, scores), agreement: compare(own, scores), file: null };
}

async function ownJudge(run: string): Promise<string> {
  const recipe = await readJsonObject(join(run, runFiles.recipe), 1024 * 1024);
  return typeof recipe['judge'] === 'string' ? recipe['judge'] : 'unknown';
}

/** The lexical judge stores no distribution; its rule is asked again, which costs nothing. */
async function askOnce(trait: Trait, rows: readonly ScoredRollout[]): Promise<Scores[]> {
  const scores: Scores[] = [];
  for await (const { index, scores: given } of lexicalJudgeOf(trait).judge(rows.map(toItem))) {
    scores[index] = given;
  }
  return scores.map((given, i) => (rows[i]!.response_ids.length === 0 ? rows[i]!.scores : given));
}

function rescoreOrFail(scores: Scores): Scores {
  // A reply without a token was never put to a judge.
  if (scores.raw === null) return scores;
  const again = rescore(scores);
  if (again !== null) return again;
  throw new UsageError(
    'Expected the run to hold what its judge answered, got scores alone, as rollouts made elsewhere bring them; ask a judge with --judge.',
  );
}

async function askAnother(
  run: string,
  trait: Trait,
  rows: readonly ScoredRollout[],
  judges: JudgeSource,
  { signal, onProgress }: JudgeRunOptions,
): Promise<{ judge: string; file: string; scores: Scores[] }> {
  const judge = judges.forTrait(trait);
  const file = join(run, judgementFile(judge.id));
  await mkdir(dirname(file), { recursive: true }).catch((error: unknown) => {
    throw storeFailure(file, error);
  });
  const lock = await lockFolder(dirname(file));
  try {
    const log = await openJsonlLog(file, scoreLineSchema);
    try {
      const known = new Map(log.rows.map(({ key, scores }) => [key, scores]));
      const missing = rows.filter(({ key, text }) => !known.has(key) && text !== '');
      let waiting: { key: string; scores: Scores }[] = [];
      const commit = async (): Promise<void> => {
        const lines = waiting;
        waiting = [];
        await log.append(lines);
      };
      try {
        const stop = signal === undefined ? {} : { signal };
        for await (const { index, scores } of judge.judge(missing.map(toItem), stop)) {
          const { key } = missing[index]!;
          known.set(key, scores);
          waiting.push({ key, scores });
          onProgress?.(rows.length - missing.length + known.size - log.rows.length, rows.length);
          if (waiting.length >= COMMIT_ROWS) await commit();
        }
      } finally {
        await commit();
      }
      const none: Scores = { trait: null, coherence: null, raw: null };
      return { judge: judge.id, file, scores: rows.map(({ key }) => known.get(key) ?? none) };
    } finally {
      await log.close();
    }
  } finally {
    await lock.release();
  }
}

function toItem({ question, text }: ScoredRollout): { question: string; answer: string } {
  return { question, answer: text };
}

function describe(
  rows: readonly ScoredRollout[],
  scores: readonly Scores[],
): { poles: readonly PoleScores[] } {
  const poles = [...new Set(rows.map(({ ids }) => String(ids['pole'])))];
  return {
    poles: poles.map((pole) => {
      const mine = scores.filter((_, i) => String(rows[i]!.ids['pole']) === pole);
      const [traits, coherences] = metrics.map((metric) => mine.flatMap((one) => one[metric] ?? [])) as [
        number[],
        number[],
      ];
      const spreads = mine.flatMap((one) => {
        const answers = answersOf(one);
        return answers === null ? [] : (sampleSpread(answers.trait) ?? []);
      });
      return {
        pole,
        replies: mine.length,
        unscoredTrait: mine.length - traits.length,
        unscoredCoherence: mine.length - coherences.length,
        trait: meanOrNull(traits),
        coherence: meanOrNull(coherences),
        spread: meanOrNull(spreads),
      };
    }),
  };
}

function compare(own: readonly Scores[], other: readonly Scores[]): Agreement {
  const both = own.flatMap(({ trait }, i): (readonly [number, number])[] => {
    const given = other[i]!.trait;
    return trait === null || given === null ? [] : [[trait, given]];
  });
  const differences = both.map(([before, after]) => after - before);
  const before = both.map(([score]) => score);
  const after = both.map(([, score]) => score);
  return {
    replies: both.length,
    meanDifference: meanOrNull(differences),
    meanAbsoluteDifference: meanOrNull(differences.map(Math.abs)),
    spearman: both.length < 2 ? null : spearman(before, after),
    onlyOne: own.filter(({ trait }, i) => (trait === null) !== (other[i]!.trait === null)).length,
  };
}

function meanOrNull(values: readonly number[]): number | null {
  return values.length === 0 ? null : mean([...values]);
}
