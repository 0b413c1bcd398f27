import { AbortError } from '../errors.ts';
import type { LanguageModel } from '../engine/model.ts';
import type { Generated, GenerateRow, Intervention, Pooling } from '../engine/types.ts';
import type { NewRollout, RolloutStore } from '../store/rollout-store.ts';
import { judgeRollouts } from './judge-rollouts.ts';
import type { JudgeProvider } from './judge.ts';
import { type Pole, poles } from './poles.ts';
import { encodePrompt, requireTokenizer } from './prompt.ts';
import type { Trait } from './trait.ts';

/** A rollout to be made. */
export interface PlannedRollout {
  /** Names the row on disk. */
  readonly key: string;
  readonly ids: Readonly<Record<string, string | number>>;
  readonly system: string | null;
  readonly question: string;
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

export interface MakeRolloutsOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  /** In the order of the store's keys. */
  readonly plan: readonly PlannedRollout[];
  readonly store: RolloutStore;
  readonly judge: JudgeProvider;
  readonly sampling: Sampling;
  readonly capture: readonly Pooling[];
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

/**
 * Makes and judges what is missing of a plan, and finishes the store. Whatever is made is on disk soon after, so a
 * kill costs the last few rows; an abort costs none.
 */
export async function makeRollouts(options: MakeRolloutsOptions): Promise<void> {
  if (options.store.finished) return;
  await generateMissing(options);
  await judgeRollouts(options);
  await options.store.finish();
}

async function generateMissing(options: MakeRolloutsOptions): Promise<void> {
  const { model, plan, store, sampling, signal } = options;
  const missing = store.missing();
  const tokenizer = requireTokenizer(model.checkpoint);
  const rows = encodeRows(options, missing);
  let waiting: Finished[] = [];
  let [done, tokens, committed] = [plan.length - missing.length, 0, performance.now()];
  const commit = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    await store.addRollouts(
      batch.map((generated) => {
        const planned = plan[missing[generated.index]!]!;
        const text = tokenizer.decode(generated.ids, { skipSpecial: true });
        return storedRollout(planned, rows[generated.index]!, generated, text, recordsOf(options, generated));
      }),
    );
    committed = performance.now();
  };
  try {
    for await (const generated of model.generate(rows, { ...generateOptions(options), ...sampling })) {
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

function generateOptions(options: MakeRolloutsOptions): {
  capture: readonly Pooling[];
  batchRows?: number;
  signal?: AbortSignal;
} {
  const { capture, batchRows, signal } = options;
  return {
    capture,
    ...(batchRows === undefined ? {} : { batchRows }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function encodeRows(options: MakeRolloutsOptions, indices: readonly number[]): GenerateRow[] {
  const prompts = new Map<string, readonly number[]>();
  return indices.map((index) => {
    const { system, question, stream, interventions } = options.plan[index]!;
    const name = JSON.stringify([system, question]);
    const ids =
      prompts.get(name) ?? encodePrompt(options.model.checkpoint, options.trait, { system, question }).ids;
    prompts.set(name, ids);
    return { ids, key: stream, ...(interventions === undefined ? {} : { interventions }) };
  });
}

function storedRollout(
  { key, ids, system, question }: PlannedRollout,
  row: GenerateRow,
  generated: Finished,
  text: string,
  records: NewRollout['records'],
): NewRollout {
  return {
    row: {
      key,
      ids,
      system,
      question,
      text,
      prompt_tokens: row.ids.length,
      response_ids: generated.ids,
      finish_reason: generated.finishReason === 'stop' ? 'stop' : 'length',
    },
    ...(records === undefined ? {} : { records }),
  };
}

/** What was captured. A reply without a token has no mean; zeros keep its place, and it is never scored nor used. */
function recordsOf(
  { model, capture }: MakeRolloutsOptions,
  { ids, pooled }: Generated,
): NewRollout['records'] {
  const { layers, width } = model.checkpoint.config;
  const empty = ids.length === 0 ? new Float32Array((layers + 1) * width) : undefined;
  const records = capture.flatMap((name) => {
    const record = pooled[name] ?? empty;
    return record === undefined ? [] : [[name, record] as const];
  });
  return Object.fromEntries(records);
}
