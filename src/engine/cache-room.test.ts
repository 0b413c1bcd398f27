import { describe, expect, it } from 'vitest';
import { tinyConfig } from '../../test/helpers/tiny-config.ts';
import { UsageError } from '../errors.ts';
import { roomForRows } from './cache-room.ts';
import { KvCache } from './kv-cache.ts';

const config = tinyConfig();
/** Of one row with a prompt of 9 tokens, which take the room of 10, and 20 new ones. */
const perRow = KvCache.slotBytes(config, 30) + 4 * config.vocabSize;

describe('roomForRows', () => {
  it('gives half of the available memory to keys, values and logits', () => {
    expect(roomForRows(config, 9, { maxTokens: 20 }, 2 * 7 * perRow)).toBe(7);
    expect(roomForRows(config, 9, { maxTokens: 20 }, 2 * 7 * perRow - 1)).toBe(6);
  });

  it('lets one row have more than half', () => {
    expect(roomForRows(config, 9, { maxTokens: 20 }, perRow)).toBe(1);
  });

  it('takes what the caller allows, whatever is available', () => {
    expect(roomForRows(config, 9, { maxTokens: 20, cacheBytes: 3 * perRow }, 1)).toBe(3);
  });

  it('says how much one row needs where there is less', () => {
    const one = { maxTokens: 20, cacheBytes: perRow - 1 };
    expect(() => roomForRows(config, 9, one, 1e12)).toThrow(UsageError);
    expect(() => roomForRows(config, 9, one, 1e12)).toThrow(
      /^expected \d+ MB for the keys and values of one row of up to 9 prompt and 20 new tokens, got \d+ MB allowed by cacheBytes; ask for fewer new tokens/,
    );
    expect(() => roomForRows(config, 9, { maxTokens: 20 }, perRow - 1)).toThrow(/MB available/);
  });
});
