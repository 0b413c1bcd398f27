import { AbortError } from '../errors.ts';
import type { LanguageModel } from '../engine/model.ts';
import type { Generated, GenerateOptions, GenerateRow, Pooling } from '../engine/types.ts';
import { thinkTokensOf, withoutThoughts } from '../model/thinking.ts';
import type { NewRollout, RolloutStore } from '../store/rollout-store.ts';
import { AsyncQueue } from '../util/async-queue.ts';
import { judgeRollouts } from './judge-rollouts.ts';
import type { JudgeProvider } from './judge.ts';
import { encodePrompt, requireTokenizer, thinkingOff, toMessages } from './prompt.ts';
import type { PlannedRollout, Sampling } from './rollouts.ts';
import { steeredHistory } from './steering/history.ts';
import type { Trait } from './trait.ts';

export interface MakeRolloutsOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  /** In the order of the store's keys. */
  readonly plan: readonly PlannedRollout[];
  readonly store: RolloutStore;
  readonly judge: JudgeProvider;
  readonly sampling: Sampling;
  readonly capture: readonly Pooling[];
  /** Pool and judge thoughts like the rest. */
  readonly keepThoughts: boolean;
  readonly batchRows?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (phase: 'generate' | 'judge', done: number, tokens: number) => void;
}

/** A reply that is whole, or as long as allowed. */
type Finished = Generated & { readonly finishReason: 'stop' | 'length' };

/** Rows written together: fewer writes to wait for, at the price of making so many again after a kill. */
const COMMIT_ROWS = 64;
/** Slow models write sooner than that. */
const COMMIT_MILLISECONDS = 2000;

/**
 * Makes and judges what is missing of a plan, and finishes the store. A judge that works elsewhere judges what is stored
 * while more is generated, and neither waits for the other; one on this machine judges afterwards. Whatever is made is on
 * disk soon after, so a kill costs the last few rows; an abort costs none.
 */
export async function makeRollouts(options: MakeRolloutsOptions): Promise<void> {
  const { store, judge } = options;
  if (store.finished) return;
  if (judge.beside) {
    await makeAndJudge(options);
  } else {
    await generateMissing(options, () => undefined);
    await judgeRollouts({ ...options, rows: store.unscored() });
  }
  await store.finish();
}

/** Takes the stored rows to the judge, by their indices: what waits for it is on disk, not in memory. */
async function makeAndJudge(options: MakeRolloutsOptions): Promise<void> {
  const { store, signal } = options;
  const stored = new AsyncQueue<number>();
  stored.push(store.unscored());
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  let failure: { readonly error: unknown } | null = null;
  // The first failure counts: what the other side throws then is only that it was stopped.
  const fail = (error: unknown): void => {
    failure ??= { error };
    failed.abort();
    stored.cut();
  };
  const both = { ...options, signal: either };
  const judging = judgeRollouts({ ...both, rows: stored }).catch(fail);
  await generateMissing(both, (indices) => stored.push(indices)).catch(fail);
  stored.end();
  await judging;
  rethrow(failure);
}

/** A function of its own, because the compiler does not see that callbacks assign the failure. */
function rethrow(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}

async function generateMissing(
  options: MakeRolloutsOptions,
  onStored: (indices: readonly number[]) => void,
): Promise<void> {
  const { model, plan, store, signal } = options;
  const missing = store.missing();
  if (missing.length === 0) return;
  const rows = encodeRows(options, missing);
  let waiting: Finished[] = [];
  let [done, tokens, committed] = [plan.length - missing.length, 0, performance.now()];
  const commit = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    await store.addRollouts(
      batch.map((generated) => {
        const [planned, row] = [plan[missing[generated.index]!]!, rows[generated.index]!];
        return storedRollout(options, planned, row, generated);
      }),
    );
    onStored(batch.map(({ index }) => missing[index]!));
    committed = performance.now();
  };
  try {
    for await (const generated of model.generate(rows, generateOptions(options))) {
      // Nobody here gives a row up; half a reply must not pass for one in any case.
      if (generated.finishReason === 'cancelled') continue;
      waiting.push({ ...generated, finishReason: generated.finishReason });
      done++;
      tokens += generated.ids.length;
      const late = performance.now() - committed > COMMIT_MILLISECONDS;
      if (waiting.length >= COMMIT_ROWS || late) await commit();
      options.onProgress?.('generate', done, tokens);
      if (signal?.aborted === true) throw new AbortError('Stopped; the same command continues from here.');
    }
  } finally {
    await commit();
  }
}

function generateOptions(options: MakeRolloutsOptions): GenerateOptions {
  const { sampling, capture, batchRows, signal } = options;
  return {
    ...sampling,
    capture,
    skipThoughts: !options.keepThoughts,
    ...(batchRows === undefined ? {} : { batchRows }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function encodeRows(options: MakeRolloutsOptions, indices: readonly number[]): GenerateRow[] {
  const prompts = new Map<string, readonly number[]>();
  return indices.map((index) => {
    const { system, question, turns = [], history, stream, interventions } = options.plan[index]!;
    const steered = { key: stream, ...(interventions === undefined ? {} : { interventions }) };
    const { checkpoint } = options.model;
    const text = { system, question, turns };
    if (history === 'steered')
      return { ...steeredHistory(checkpoint, toMessages(text), thinkingOff(checkpoint)), ...steered };
    const name = JSON.stringify([system, question, turns]);
    const ids = prompts.get(name) ?? encodePrompt(checkpoint, options.trait, text).ids;
    prompts.set(name, ids);
    return { ids, ...steered };
  });
}

/** The row as it is stored: the ids as they came, the text without thoughts, as it is judged. */
function storedRollout(
  options: MakeRolloutsOptions,
  { key, ids, system, question }: PlannedRollout,
  row: GenerateRow,
  generated: Finished,
): NewRollout {
  const tokenizer = requireTokenizer(options.model.checkpoint);
  const thinkTokens = options.keepThoughts ? null : thinkTokensOf(tokenizer);
  const answer = withoutThoughts(thinkTokens, row.ids, generated.ids);
  const text = tokenizer.decode(answer, { skipSpecial: true });
  return {
    row: {
      key,
      ids,
      system,
      question,
      // What follows a thought is set off by blank lines, which are none of the answer's own.
      text: answer.length < generated.ids.length ? text.trimStart() : text,
      prompt_tokens: row.ids.length,
      response_ids: generated.ids,
      finish_reason: generated.finishReason,
    },
    records: recordsOf(options, generated, answer.length === 0),
  };
}

/** What was captured. A reply without a word of its own has no mean; zeros keep its place, and it is never scored nor used. */
function recordsOf(
  { model, capture }: MakeRolloutsOptions,
  { pooled }: Generated,
  isEmpty: boolean,
): Record<string, Float32Array> {
  const { layers, width } = model.checkpoint.config;
  const empty = isEmpty ? new Float32Array((layers + 1) * width) : undefined;
  const records = capture.flatMap((name) => {
    const record = pooled[name] ?? empty;
    return record === undefined ? [] : [[name, record] as const];
  });
  return Object.fromEntries(records);
}
