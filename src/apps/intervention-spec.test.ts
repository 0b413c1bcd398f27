import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { DataError, PersonaError } from '../errors.ts';
import { parseIntervention, readInterventions } from './intervention-spec.ts';

const target = { layer: 3, vector: [1, -2] };
const parse = (entry: unknown): unknown => parseIntervention(entry, 'entry 1');

describe('parseIntervention', () => {
  it.each([
    { ...target, coef: -1.5 },
    { ...target, coef: 0, positions: 'boundary' },
    { ...target, ablate: true, positions: 'prompt' },
    { ...target, min: 0 },
    { ...target, min: -1, max: 1, positions: 'response' },
  ])('takes %j as it is', (entry) => {
    expect(parse(entry)).toEqual(entry);
  });

  it.each([
    [{ ...target }, /exactly one of .* got none of them/],
    [{ ...target, coef: 1, min: 0 }, /exactly one of .* got several/],
    [{ ...target, coef: 1, layers: [1] }, /unknown key "layers"; did you mean "layer"\?/],
    [{ ...target, coef: 1, temperature: 1 }, /unknown key "temperature"; the keys are layer, vector/],
    [{ ...target, ablate: false }, /ablate/],
    [{ ...target, min: null }, /min/],
    [{ ...target, coef: 1, layer: 0 }, /layer/],
    [{ ...target, coef: 1, layer: 1.5 }, /layer/],
    [{ ...target, coef: 1, vector: [] }, /vector/],
    [{ ...target, coef: 1, vector: [1, null] }, /vector/],
    [{ ...target, coef: 1, positions: 'reply' }, /positions/],
    [[], /expected an object/],
    [null, /expected an object/],
  ])('refuses %j', (entry, says) => {
    expect(() => parse(entry)).toThrow(DataError);
    expect(() => parse(entry)).toThrow(says);
    expect(() => parse(entry)).toThrow(/^entry 1: /);
  });

  it('answers any JSON with an intervention or a DataError', () => {
    const keys = fc.constantFrom(
      'layer',
      'vector',
      'coef',
      'ablate',
      'min',
      'max',
      'positions',
      '__proto__',
      'x',
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue())), (entry) => {
        try {
          expect(parse(entry)).toEqual(entry);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      }),
    );
  });
});

describe('readInterventions', () => {
  it('answers any bytes with a list or an error thrown on purpose', async () => {
    const file = join(await temporaryFolder(), 'spec.json');
    const text = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => Buffer.from(json)),
    );
    await fc.assert(
      fc.asyncProperty(text, async (bytes) => {
        await writeFile(file, bytes);
        const result = await readInterventions(file).catch((error: unknown) => error);
        expect(Array.isArray(result) || result instanceof PersonaError).toBe(true);
      }),
    );
  });
});
