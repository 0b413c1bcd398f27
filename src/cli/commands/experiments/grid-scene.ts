import type { JudgeSource } from '../../../persona/judge.ts';
import { createProgress, noteBeside } from '../../progress.ts';

/** What an experiment that trains many models runs on. */
export interface GridScene {
  readonly judges: JudgeSource;
  /** Keys of a training file, of `--train`. */
  readonly train: Record<string, unknown> | undefined;
  readonly onProgress: (step: string, done: number, total: number) => void;
}

/** Opens what such an experiment runs on, and closes it when `work` ends; nothing is shown of its progress after that. */
export async function withGridScene<T>(
  flags: { readonly judge: string; readonly train?: string | undefined },
  work: (scene: GridScene) => Promise<T>,
): Promise<T> {
  const [{ openJudge }, { readUserJson }] = await Promise.all([
    import('../../../persona/judges/open-judge.ts'),
    import('../../../store/strict-json.ts'),
  ]);
  const train =
    flags.train === undefined ? undefined : ((await readUserJson(flags.train)) as Record<string, unknown>);
  const progress = createProgress({ unit: 'done' });
  const judges = await openJudge(flags.judge, { onNote: (line) => noteBeside(progress, line) });
  try {
    return await work({
      judges,
      train,
      onProgress: (step, done, total) => progress.update(step, done, total),
    });
  } finally {
    progress.end();
    await judges.close();
  }
}
