import type { LanguageModel } from '../engine/model.ts';
import { AbortError } from '../errors.ts';
import type { JudgeSource } from '../persona/judge.ts';
import { type JudgeFlags, checkFlaggedJudge, openFlaggedJudge } from './judge-flags.ts';
import { type ModelFlags, toModelOptions } from './model-flags.ts';
import { createProgress, noteBeside, type Progress } from './progress.ts';

/** What a command that judges rollouts runs on. */
export interface ExtractScene {
  readonly model: LanguageModel;
  readonly judges: JudgeSource;
  readonly progress: Progress;
}

/**
 * Loads the model, opens the judge, which is checked before any weight is read, and closes both when `work` ends.
 *
 * @param out Where a stopped run is kept, for the message.
 */
export async function withExtractScene<T>(
  modelName: string,
  flags: ModelFlags & JudgeFlags,
  out: string,
  work: (scene: ExtractScene) => Promise<T>,
): Promise<T> {
  const { loadModel } = await import('../engine/load.ts');
  const progress = createProgress({ unit: 'rollouts' });
  const { dtype, block: blockSize } = flags;
  const onNote = (line: string): void => noteBeside(progress, line);
  await checkFlaggedJudge(flags);
  const model = await loadModel(modelName, { ...toModelOptions(flags), onNotice: onNote });
  let judges: JudgeSource | null = null;
  try {
    judges = await openFlaggedJudge(flags, { loaded: model, dtype, blockSize, onNote });
    return await work({ model, judges, progress });
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(`Stopped; what is finished is kept in "${out}", and the same command continues.`);
  } finally {
    progress.end();
    await judges?.close();
    await model.close();
  }
}
