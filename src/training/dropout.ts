import { createHash } from 'node:crypto';
import { Tensor } from 'onnxruntime-node';
import type { Projection } from '../model/weights.ts';
import type { Lines } from './lines.ts';
import { stepNames } from './step-graph.ts';

/** Which inputs of products numbers are dropped from. */
export interface DropoutPlan {
  readonly seed: number;
  /** Share that is kept. */
  readonly keep: number;
  readonly modules: readonly {
    readonly block: number;
    readonly projection: Projection;
    /** Of the product's input. */
    readonly width: number;
  }[];
}

/**
 * The masks of a step, u8 `[batch, position, width]`, 1 where a number is kept. A number's mask is a function of the
 * seed, the step, the row's key, the module and its place in the row, and of nothing else: whatever rows lie beside it,
 * and when a stopped run is continued.
 */
export function dropoutFeeds(plan: DropoutPlan, lines: Lines, step: number): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  // 16 random bits a number: the share is exact to 1/65,536.
  const limit = Math.round(plan.keep * 65_536);
  for (const { block, projection, width } of plan.modules) {
    const mask = new Uint8Array(lines.count * lines.length * width);
    for (const { row, line, start } of lines.rows) {
      const begin = (line * lines.length + start) * width;
      const part = mask.subarray(begin, begin + row.ids.length * width);
      fillMask(part, streamKeys(plan.seed, step, row.key, block, projection), limit);
    }
    feeds[stepNames.dropout(block, projection)] = new Tensor('uint8', mask, [
      lines.count,
      lines.length,
      width,
    ]);
  }
  return feeds;
}

/** One scrambled counter gives the bits of two numbers. */
function fillMask(mask: Uint8Array, [first, second]: readonly [number, number], limit: number): void {
  for (let i = 0; i < mask.length; i += 2) {
    const bits = scramble(((i >>> 1) ^ first) | 0, second);
    mask[i] = (bits & 0xffff) < limit ? 1 : 0;
    if (i + 1 < mask.length) mask[i + 1] = bits >>> 16 < limit ? 1 : 0;
  }
}

/** The finaliser of MurmurHash3, keyed between its two rounds: all bits of the result depend on all of x. */
function scramble(x: number, key: number): number {
  let bits = x ^ (x >>> 16);
  bits = Math.imul(bits, 0x85ebca6b) ^ key;
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function streamKeys(...name: readonly (string | number)[]): readonly [number, number] {
  const digest = createHash('sha256')
    .update(JSON.stringify(['dropout', ...name]))
    .digest();
  return [digest.readInt32LE(0), digest.readInt32LE(4)];
}
