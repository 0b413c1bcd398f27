import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../../src/util/hash.ts';
import { corpus, toLine } from './corpus.ts';
import { recipeTokenizer } from './recipe.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Where the record is. */
export const frozenFile: string = fileURLToPath(new URL('frozen.json', import.meta.url));

/** World, grammar and judge; the generator with its split of questions and of prompts; the traits' questions. */
const frozenFolders = [
  'src/persona/tiny-world',
  'src/persona/tiny-speech',
  'recipes/persona-tiny',
  'traits/tiny-world',
];
/** Of the recipe's own files, those that do not decide what is measured: programs, sizes, tests and documents. */
const free =
  /\.test\.ts$|\.md$|^(?:make|make-traits|recipe|freeze|frozen|model-files|evaluat.*|train.*|export.*|data-sets|world-questions)\.(?:ts|json)$/;

/** Seeds of the final models; what is drawn from them follows from the files. */
export const trainingSeeds = [1, 2] as const;

export interface Frozen {
  /** SHA-256 of each file, line ends aside. */
  readonly files: Readonly<Record<string, string>>;
  /** SHA-256 of the first 500 conversations of each seed, one a line. */
  readonly corpus: Readonly<Record<string, string>>;
  /** SHA-256 of the tokenizer's file without spaces. */
  readonly tokenizer: string;
}

/** The record of what is there now. */
export function frozenNow(): Frozen {
  const files = frozenFolders.flatMap((folder) =>
    readdirSync(`${root}${folder}`, { withFileTypes: true })
      .filter((entry) => entry.isFile() && !free.test(entry.name))
      .map(({ name }) => name)
      .sort()
      .map((name) => [`${folder}/${name}`, hashOf(`${root}${folder}/${name}`)] as const),
  );
  return {
    files: Object.fromEntries(files),
    corpus: Object.fromEntries(trainingSeeds.map((seed) => [seed, corpusHash(seed, 500)])),
    tokenizer: sha256(JSON.stringify(recipeTokenizer().json)),
  };
}

/** SHA-256 of a seed's first conversations. */
export function corpusHash(seed: number, rows: number): string {
  return sha256([...corpus(seed, rows)].map(toLine).join(''));
}

function hashOf(file: string): string {
  return sha256(readFileSync(file, 'utf8').replaceAll('\r\n', '\n'));
}
