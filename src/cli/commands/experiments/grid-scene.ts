import { Option } from '@commander-js/extra-typings';
import type { JudgeSource } from '../../../persona/judge.ts';
import { commaSeparated, seedOption, wholeNumber } from '../../arguments.ts';
import { createProgress, noteBeside } from '../../progress.ts';

/** The flags of every experiment that trains many models. */
export interface GridFlags {
  readonly out: string;
  readonly data?: string | undefined;
  readonly rows?: number | undefined;
  readonly samples?: number | undefined;
  readonly layer?: number | undefined;
  readonly families?: string[] | undefined;
  readonly traits?: string[] | undefined;
  readonly judge: string;
  readonly train?: string | undefined;
  readonly seed?: number | undefined;
  readonly quick?: true | undefined;
  readonly json?: true | undefined;
}

/** Where such an experiment is kept, and what it trains on. */
export function gridDataFlags(out: string): Option[] {
  return [
    new Option('--out <dir>', 'folder of the experiment; one that was begun is continued').default(out),
    new Option('--data <dir>', "<family>/<variant>.jsonl (default: made, of persona-tiny's world)"),
    new Option('--rows <n>', 'of each data set that is made (default: 320)').argParser(wholeNumber(8)),
  ];
}

/** What its models are asked, and of which data sets. */
export function gridMeasureFlags(layer: string): Option[] {
  return [
    new Option('--samples <n>', 'replies to each evaluation question (default: 3)').argParser(wholeNumber(1)),
    new Option('--layer <n>', `${layer} (default: half depth)`).argParser(wholeNumber(1)),
    new Option('--families <list>', 'some of the families').argParser(commaSeparated),
  ];
}

/** How it judges and trains. */
export function gridRunFlags(): Option[] {
  return [
    new Option('--judge <name>', 'lexical, or a language model (see docs/judges.md)').default('lexical'),
    new Option('--train <file>', 'keys of a training file, such as {"learning_rate": 1e-5}'),
    seedOption('results'),
    new Option('--quick', 'a few models, rows and questions: to see that it works'),
    new Option('--json', 'print the result as JSON'),
  ];
}

/** What `--quick` takes instead: enough to see that everything works, too little to say anything. */
export const quickGrid = {
  samples: 1,
  extractSamples: 1,
  extractQuestions: 5,
  families: ['evil', 'mistake_animals'],
} as const;

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
