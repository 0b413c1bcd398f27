import { UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import { availableMemory } from '../util/memory.ts';
import { KvCache } from './kv-cache.ts';
import type { GenerateOptions } from './types.ts';

/** Of the memory that the system can give, for keys and values; the rest is for a step's own numbers and for others. */
export const cacheShare = 0.5;
/** Rows side by side beyond which a step only grows longer. */
export const defaultBatchRows = 256;

/** Tokens that a slot must hold for a prompt of up to `longest` tokens and its reply: an odd prompt is padded while it runs. */
export function slotCapacity(longest: number, maxTokens: number): number {
  return longest + (longest % 2) + maxTokens;
}

/** Bytes that a row takes while it runs: keys and values in a slot of so many tokens, and logits. */
export function rowBytes(config: ModelConfig, capacity: number): number {
  return KvCache.slotBytes(config, capacity) + 4 * config.vocabSize;
}

/**
 * How many rows with a prompt of up to `longest` tokens have room side by side: each takes the keys and values of
 * its prompt and reply, and its logits.
 * @throws UsageError where not one has.
 */
export function roomForRows(
  config: ModelConfig,
  longest: number,
  { maxTokens, cacheBytes }: Pick<GenerateOptions, 'maxTokens' | 'cacheBytes'>,
  available: number = availableMemory(),
): number {
  const perRow = rowBytes(config, slotCapacity(longest, maxTokens));
  const given = cacheBytes ?? available * cacheShare;
  // A single row may have all that there is, unless the caller has drawn the line.
  const most = cacheBytes ?? available;
  if (perRow > most) {
    const room = cacheBytes === undefined ? 'available' : 'allowed by cacheBytes';
    throw new UsageError(
      `expected ${megabytes(perRow)} for the keys and values of one row of up to ${longest} prompt and ${maxTokens} new tokens, got ${megabytes(most)} ${room}; ask for fewer new tokens, shorten the prompt, or free memory`,
      { details: { needed: perRow, got: most } },
    );
  }
  return Math.max(1, Math.floor(given / perRow));
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
