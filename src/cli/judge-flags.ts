import { Option } from '@commander-js/extra-typings';
import type { Dtype, LanguageModel } from '../engine/model.ts';
import type { JudgeSource } from '../persona/judge.ts';
import { defined } from '../util/defined.ts';
import { decimal, wholeNumber } from './arguments.ts';

/** The flags of every command that judges. */
export interface JudgeFlags {
  readonly judge?: string | undefined;
  readonly judgeSamples?: number | undefined;
  readonly judgeConcurrency?: number | undefined;
  readonly judgeRpm?: number | undefined;
}

/** `--judge` and how it is asked. */
export function judgeFlags(defaultJudge = 'lexical'): Option[] {
  return [
    new Option(
      '--judge <name>',
      `lexical, openai:MODEL, anthropic:MODEL, http(s)://HOST/v1#MODEL or local:MODEL (default: ${defaultJudge})`,
    ),
    new Option(
      '--judge-samples <n>',
      'sample n answers for each metric instead of reading log-probabilities (default: 0; anthropic: 5)',
    ).argParser(wholeNumber(0, 1000)),
    new Option('--judge-concurrency <n>', 'requests to the judge at once (default: 16)').argParser(
      wholeNumber(1, 1000),
    ),
    new Option('--judge-rpm <n>', 'requests to the judge a minute (default: no limit)').argParser(
      decimal(0.01),
    ),
  ];
}

export interface JudgeSetting {
  /** A model that is loaded already, which a local judge of the same folder shares. */
  readonly loaded?: LanguageModel | undefined;
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
  readonly onNote: (line: string) => void;
}

/** Opens the judge that the flags name. */
export async function openFlaggedJudge(
  { judge = 'lexical', judgeSamples, judgeConcurrency, judgeRpm }: JudgeFlags,
  { loaded, dtype, blockSize, onNote }: JudgeSetting,
): Promise<JudgeSource> {
  const { openJudge } = await import('../persona/judges/open-judge.ts');
  return openJudge(judge, {
    samples: judgeSamples,
    concurrency: judgeConcurrency,
    perMinute: judgeRpm,
    onNote,
    load: defined({ dtype, blockSize, onNotice: onNote }),
    ...(loaded !== undefined && { loaded }),
  });
}

/** Opens the judge that the flags name for as long as `work` takes. */
export async function withFlaggedJudge<T>(
  flags: JudgeFlags,
  setting: JudgeSetting,
  work: (judges: JudgeSource) => Promise<T>,
): Promise<T> {
  const judges = await openFlaggedJudge(flags, setting);
  try {
    return await work(judges);
  } finally {
    await judges.close();
  }
}

/** Finds what is wrong with `--judge` before any weight is loaded. */
export async function checkFlaggedJudge({ judge }: JudgeFlags): Promise<void> {
  if (judge === undefined) return;
  const { checkJudge } = await import('../persona/judges/open-judge.ts');
  await checkJudge(judge);
}
