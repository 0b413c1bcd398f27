import { Option } from '@commander-js/extra-typings';
import { collected, wholeNumber } from './arguments.ts';

/** The flags of a server that starts runs; `readRunFlags` reads them. */
export function runFlags(): Option[] {
  return [
    new Option(
      '--runs <dir>',
      'let who has the token start extractions, trainings, screenings and experiments, kept in this folder (see docs/server.md)',
    ),
    new Option('--training <dir>', 'folder of the training files that can be started'),
    new Option('--data <dir>', 'folder of the data sets that can be screened'),
    new Option(
      '--run-judge <name>',
      'language model that runs may judge and write traits with, such as openai:MODEL; may be given several times',
    ).argParser(collected),
    new Option('--runs-at-once <n>', 'runs under way at once; others wait (default: 1)').argParser(
      wholeNumber(1, 64),
    ),
    new Option('--keep-runs <n>', 'runs in the folder; no more are started (default: 200)').argParser(
      wholeNumber(1, 10_000),
    ),
  ];
}
