import { describe, expect, it } from 'vitest';
import { tinyConfig } from '../../test/helpers/tiny-config.ts';
import { PoolAccumulator } from './pool-accumulator.ts';

const config = tinyConfig({ layers: 1, width: 1 });
const period = (id: number): boolean => id === 9;
const residuals = (a: number, b: number): Float32Array => Float32Array.of(a, b);

describe('PoolAccumulator', () => {
  it('means reply tokens, and boundary tokens with the last prompt token among them', () => {
    const pool = new PoolAccumulator(
      config,
      ['response_mean', 'boundary_mean', 'prompt_mean', 'prompt_last'],
      period,
    );
    pool.addPrompt(residuals(5, 50), residuals(1, 10));
    pool.addToken({ id: 3, index: 2, promptLength: 2 }, residuals(2, 20));
    pool.addToken({ id: 9, index: 3, promptLength: 2 }, residuals(4, 40));
    expect(pool.pooled()).toEqual({
      response_mean: residuals(3, 30),
      boundary_mean: residuals(2.5, 25),
      prompt_mean: residuals(5, 50),
      prompt_last: residuals(1, 10),
    });
  });

  it('has no response mean where no token was generated', () => {
    const pool = new PoolAccumulator(config, ['response_mean', 'prompt_last'], null);
    pool.addPrompt(residuals(5, 50), residuals(1, 10));
    expect(pool.pooled()).toEqual({ prompt_last: residuals(1, 10) });
  });
});
