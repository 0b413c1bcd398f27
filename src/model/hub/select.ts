import { join } from 'node:path';
import { ModelError, ParseError, UsageError } from '../../errors.ts';
import { describeJson, quoteName, readJsonObject } from '../json-text.ts';
import { INDEX_FILE, MAX_INDEX_BYTES, parseWeightIndex, SINGLE_FILE } from '../weight-files.ts';
import { matchesGlob } from './globs.ts';
import { checkedFile } from './listing.ts';
import type { HubFile, ListedFile, Listing } from './listing.ts';

/** What the loader reads beside the weights, at the top of a repository. */
const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer*.json',
  'tokenizer.model',
  'chat_template.jinja',
  'special_tokens_map.json',
  'adapter_config.json',
];
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/**
 * The files that patterns choose, whatever they are.
 *
 * @throws UsageError where a pattern is empty or none chooses a file; ParseError for a hostile path among the chosen.
 */
export function filesByPattern(listing: Listing, patterns: readonly string[]): HubFile[] {
  if (patterns.includes('')) throw new UsageError('Expected patterns of file names, got an empty one.');
  const files = choose(listing, ({ path }) => patterns.some((pattern) => matchesGlob(pattern, path)));
  if (files.length > 0) return files;
  const some = listing.files.slice(0, 8).map(({ path }) => quoteName(path));
  throw new UsageError(
    `Expected files that match ${patterns.map(quoteName).join(' or ')}, got none among the ${listing.files.length} of the repository (${some.join(', ')}${listing.files.length > 8 ? ', …' : ''}).`,
    { details: { patterns: patterns.join(' ') } },
  );
}

/** What the loader reads of a repository, as far as it is known before the index of its weights is. */
export interface LoaderFiles {
  readonly files: readonly HubFile[];
  /** Names the files with the weights; null where they are among `files` already. */
  readonly index: HubFile | null;
}

/**
 * The files of a model or an adapter that the loader reads: the small ones, and the weights once, in the form that it
 * prefers.
 *
 * @throws ModelError where there are no safetensors weights; ParseError for a hostile path among the chosen.
 */
export function filesForLoader(listing: Listing, repo: string): LoaderFiles {
  const present = new Set(listing.files.map(({ path }) => path));
  const isSharded = !present.has(SINGLE_FILE) && present.has(INDEX_FILE);
  if (!isSharded && !present.has(SINGLE_FILE) && !present.has(ADAPTER_WEIGHTS))
    throw noWeights(listing, repo);
  const isWanted = ({ path }: ListedFile): boolean =>
    path === SINGLE_FILE ||
    path === ADAPTER_WEIGHTS ||
    (isSharded && path === INDEX_FILE) ||
    // A pattern's star means slashes too, but the loader looks at the top alone.
    (!path.includes('/') && SMALL_FILES.some((pattern) => matchesGlob(pattern, path)));
  const files = choose(listing, isWanted);
  return { files, index: files.find(({ path }) => path === INDEX_FILE) ?? null };
}

/**
 * The weight files that a downloaded index names.
 *
 * @throws ModelError where one is not in the repository; ParseError for a malformed index.
 */
export async function shardsOf(listing: Listing, index: HubFile, blobs: string): Promise<HubFile[]> {
  if (index.size > MAX_INDEX_BYTES) throw hugeIndex(index);
  const file = join(blobs, index.hash.hex);
  const shards = parseWeightIndex(await readJsonObject(file, MAX_INDEX_BYTES), file);
  const listed = new Map(listing.files.map((entry) => [entry.path, entry]));
  return [...shards.keys()].map((shard) => {
    const entry = listed.get(shard);
    if (entry !== undefined) return checkedFile(entry);
    throw new ModelError(
      `Expected ${describeJson(shard)}, which ${INDEX_FILE} names, among the files of the repository, got none; choose another revision.`,
      { details: { file: shard } },
    );
  });
}

/** The weight files that an index will name, by their usual names; none where the weights are one file. */
export function shardsByName(listing: Listing): HubFile[] {
  const present = new Set(listing.files.map(({ path }) => path));
  if (present.has(SINGLE_FILE) || !present.has(INDEX_FILE)) return [];
  return choose(listing, ({ path }) => /^model-\d+-of-\d+\.safetensors$/.test(path));
}

function choose({ files }: Listing, isWanted: (file: ListedFile) => boolean): HubFile[] {
  const chosen = files.filter(isWanted).map(checkedFile);
  const paths = new Set(chosen.map(({ path }) => path));
  if (paths.size < chosen.length)
    throw new ParseError('Expected every file once in the listing, got one twice.');
  return chosen;
}

function noWeights(listing: Listing, repo: string): ModelError {
  const others = listing.files
    .map(({ path }) => path)
    .filter((path) => /\.(?:bin|pth?|gguf|onnx|h5|msgpack)$/.test(path));
  const found = others.length === 0 ? 'no weights at all' : others.slice(0, 3).map(quoteName).join(', ');
  const gguf = others.find((path) => path.endsWith('.gguf'));
  const advice = gguf === undefined ? 'files with --allow' : `one GGUF file with --allow ${quoteName(gguf)}`;
  return new ModelError(
    `Expected ${SINGLE_FILE} or ${INDEX_FILE} in ${repo}, got ${found}; choose a repository or revision with safetensors weights, or name ${advice}.`,
    { details: { repo } },
  );
}

function hugeIndex(index: HubFile): ParseError {
  return new ParseError(
    `Expected ${INDEX_FILE} to have at most ${MAX_INDEX_BYTES} bytes, but it is listed with ${index.size}; choose another repository.`,
    { details: { file: index.path, got: index.size } },
  );
}
