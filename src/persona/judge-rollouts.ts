import type { RolloutStore, ScoredKey } from '../store/rollout-store.ts';
import type { JudgeItem, JudgeProvider, Scores } from './judge.ts';

export interface JudgeRolloutsOptions {
  readonly store: RolloutStore;
  readonly judge: JudgeProvider;
  /** Stored rows without scores, by their index; they may come while others are judged. */
  readonly rows: Iterable<number> | AsyncIterable<number>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (phase: 'judge', done: number, tokens: number) => void;
}

/** Scores written together: fewer writes to wait for. */
const COMMIT_ROWS = 64;
/** Slow judges write sooner than that. */
const COMMIT_MILLISECONDS = 2000;
/** There is nothing to judge in a reply without a token, and its activations have no mean. */
const unscorable: Scores = { trait: null, coherence: null, raw: null };

/** Scores stored rollouts; an abort or a failure loses no score that was given before. */
export async function judgeRollouts(options: JudgeRolloutsOptions): Promise<void> {
  const { store, judge, rows, onProgress } = options;
  const given: string[] = [];
  let waiting: ScoredKey[] = [];
  let [done, committed] = [store.size - store.missing().length - store.unscored().length, performance.now()];
  const take = (key: string, scores: Scores): void => {
    waiting.push({ key, scores });
    onProgress?.('judge', ++done, 0);
  };
  const commit = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    await store.addScores(batch);
    committed = performance.now();
  };
  async function* items(): AsyncGenerator<JudgeItem> {
    for await (const index of rows) {
      const { key, question, text, response_ids: ids } = store.row(index);
      if (ids.length === 0 || text.trim() === '') {
        take(key, unscorable);
        continue;
      }
      given.push(key);
      yield { question, answer: text };
    }
  }
  try {
    const signal = options.signal === undefined ? {} : { signal: options.signal };
    for await (const { index, scores } of judge.judge(items(), signal)) {
      take(given[index]!, scores);
      const late = performance.now() - committed > COMMIT_MILLISECONDS;
      if (waiting.length >= COMMIT_ROWS || late) await commit();
    }
  } finally {
    await commit();
  }
}
