import type { RolloutStore, ScoredKey } from '../store/rollout-store.ts';
import type { JudgeProvider, Scores } from './judge.ts';

export interface JudgeRolloutsOptions {
  readonly store: RolloutStore;
  readonly judge: JudgeProvider;
  readonly signal?: AbortSignal;
  readonly onProgress?: (phase: 'judge', done: number, tokens: number) => void;
}

/** Scores written together. */
const COMMIT_ROWS = 64;
/** There is nothing to judge in a reply without a token, and its activations have no mean. */
const unscorable: Scores = { trait: null, coherence: null, raw: null };

/** Scores every stored rollout that has none yet; a kill or an abort loses none that was given before. */
export async function judgeRollouts({ store, judge, ...options }: JudgeRolloutsOptions): Promise<void> {
  const unscored = store.unscored().map((index) => store.row(index));
  const empty = unscored.filter((row) => row.response_ids.length === 0);
  await store.addScores(empty.map(({ key }) => ({ key, scores: unscorable })));
  const rows = unscored.filter((row) => row.response_ids.length > 0);
  let waiting: ScoredKey[] = [];
  let done = 0;
  const commit = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    await store.addScores(batch);
  };
  const items = rows.map(({ question, text }) => ({ question, answer: text }));
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    for await (const { index, scores } of judge.judge(items, signal)) {
      waiting.push({ key: rows[index]!.key, scores });
      done++;
      if (waiting.length >= COMMIT_ROWS) await commit();
      options.onProgress?.('judge', store.size - rows.length + done, 0);
    }
  } finally {
    await commit();
  }
}
