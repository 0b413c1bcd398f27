import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { loadModel } from '../engine/load.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';

const checkpoint = await loadCheckpoint('models/stories260K');
const measured = { prompt: 500, step: 0.01, row: 0.002 };

/** Options that time nothing, with a count of what would have been timed. */
async function scene(): Promise<{ options: RateOptions; calls: string[]; root: string }> {
  const root = await temporaryFolder();
  const calls: string[] = [];
  const options: RateOptions = {
    cacheFolder: root,
    calibrate: async (model) => {
      calls.push(model.precision);
      return Promise.resolve(measured);
    },
    productRate: async () => {
      calls.push('products');
      return Promise.resolve(100);
    },
    now: () => new Date('2026-01-02T03:04:05Z'),
  };
  return { options, calls, root };
}

describe('the rate of an estimate', () => {
  it('is measured once for a model, a precision and a machine, and kept with its date', async () => {
    const { options, calls, root } = await scene();
    const date = '2026-01-02T03:04:05.000Z';
    expect((await findRate(checkpoint, {}, options)).rate).toEqual({
      ...measured,
      source: 'measured now',
      date,
    });
    expect((await findRate(checkpoint, {}, options)).rate).toEqual({
      ...measured,
      source: 'measured before',
      date,
    });
    expect(calls).toEqual(['fp32']);
    const [file] = await readdir(join(root, 'rates'));
    expect(JSON.parse(await readFile(join(root, 'rates', file!), 'utf8'))).toMatchObject({
      kind: 'rate',
      date,
      model: 'stories260K',
      precision: 'fp32',
    });
  });

  it('is measured again where what was kept cannot be read', async () => {
    const { options, calls, root } = await scene();
    await findRate(checkpoint, {}, options);
    const [file] = await readdir(join(root, 'rates'));
    for (const text of ['{', '{}', '{"schema":1,"kind":"rate","prompt_tokens_per_second":-1}']) {
      await writeFile(join(root, 'rates', file!), text);
      expect((await findRate(checkpoint, {}, options)).rate.source).toBe('measured now');
    }
    expect(calls).toHaveLength(4);
  });

  it('is what the user says, and then nothing is measured', async () => {
    const { options, calls } = await scene();
    const { rate } = await findRate(checkpoint, {}, { ...options, rate: { prompt: 400, reply: 50 } });
    expect(rate).toEqual({ prompt: 400, step: 0, row: 0.02, source: 'given', date: null });
    expect(calls).toEqual([]);
  });

  it('is a guess, and says so, where measuring is not wanted or would have to quantise first', async () => {
    const { options, calls } = await scene();
    for (const [loading, more, why] of [
      [{}, { measure: false }, 'nothing was measured'],
      [{ dtype: 'int8' }, {}, 'its weights are not quantised yet'],
    ] as const) {
      const { rate, notes } = await findRate(checkpoint, loading, { ...options, ...more });
      expect(rate).toMatchObject({ source: 'guess', date: null });
      expect(rate.prompt).toBeGreaterThan(0);
      expect(notes).toEqual([`The time is a guess from the rate of plain matrix products, since ${why}.`]);
    }
    expect(calls).toEqual(['products', 'products']);
  });

  it('is measured in the precision that is asked for, once its weights are quantised', async () => {
    const { options, calls, root } = await scene();
    const before = process.env['PERSONA_CACHE'];
    process.env['PERSONA_CACHE'] = root;
    try {
      await (await loadModel('models/stories260K', { dtype: 'int4' })).close();
      expect((await findRate(checkpoint, { dtype: 'int4' }, options)).rate.source).toBe('measured now');
      expect(calls).toEqual(['int4-block32']);
    } finally {
      if (before === undefined) delete process.env['PERSONA_CACHE'];
      else process.env['PERSONA_CACHE'] = before;
    }
  });
});
