import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { DataError, PersonaError } from '../../errors.ts';
import { parseSteering, readSteering } from './spec.ts';

const target = { layer: 3, vector: [1, -2] };
const parse = (entry: unknown): unknown => parseSteering([entry], 'spec').interventions[0];

describe('parseSteering', () => {
  it.each([
    { ...target, coef: -1.5 },
    { ...target, coef: 0, positions: 'boundary' },
    { vector: 'evil', norm: 2, layer: 'all' },
    { vector: 'runs/evil/vector.safetensors', pooling: 'boundary_mean', fraction: 0.2, layer: [2, 3] },
    { vector: 'evil', coef: 1, keep_norm: true },
    { ...target, ablate: true, positions: 'prompt' },
    { vector: 'evil', cap: { percentile: 75 }, positions: 'all' },
    { vector: 'evil', floor: { z: -1 } },
    { vector: 'evil', pin: 0 },
    { ...target, min: 0 },
    { ...target, min: -1, max: 1, positions: 'response' },
    { vector: 'evil', coef: -1, when: { above: 2 } },
    { vector: 'evil', coef: -1, when: { vector: 'impolite', layer: 2, above: { percentile: 90 }, below: 9 } },
  ])('takes %j as it is', (entry) => {
    expect(parse(entry)).toEqual(entry);
    expect(parseSteering({ interventions: [entry], vectors: 'runs', history: 'steered' }, 'spec')).toEqual({
      interventions: [entry],
      vectors: 'runs',
      history: 'steered',
    });
  });

  it.each<[unknown, RegExp]>([
    [{ ...target }, /exactly one of .* got none of them/],
    [{ ...target, coef: 1, min: 0 }, /exactly one of .* got coef and min and max/],
    [{ ...target, coef: 1, norm: 1 }, /got coef and norm/],
    [{ ...target, coef: 1, layers: [1] }, /unknown key "layers"; did you mean "layer"\?/],
    [{ ...target, coef: 1, temperature: 1 }, /unknown key "temperature"; the keys are vector/],
    [{ ...target, cap: 1, keep_norm: true }, /keep_norm/],
    [{ ...target, ablate: false }, /ablate/],
    [{ ...target, min: null }, /expected a number, \{"percentile": p\} or \{"z": z\}/],
    [{ ...target, cap: { percentile: 101 } }, /cap/],
    [{ ...target, coef: 1, layer: 0 }, /layer/],
    [{ ...target, coef: 1, layer: 1.5 }, /layer/],
    [{ ...target, coef: 1, layer: [] }, /layer/],
    [{ ...target, coef: 1, vector: [] }, /vector/],
    [{ ...target, coef: 1, vector: [1, null] }, /vector/],
    [{ ...target, coef: 1, positions: 'reply' }, /positions/],
    [{ ...target, coef: 1, when: {} }, /"when": expected "above" or "below", got neither/],
    [{ ...target, coef: 1, when: { abov: 1 } }, /"when": unknown key "abov"; did you mean "above"\?/],
    [{ ...target, coef: 1, when: 3 }, /when/],
    [[], /expected an object/],
    [null, /expected an object/],
  ])('refuses %j', (entry, says) => {
    expect(() => parse(entry)).toThrow(DataError);
    expect(() => parse(entry)).toThrow(says);
    expect(() => parse(entry)).toThrow(/^spec, intervention 1/);
  });

  it.each<[unknown, RegExp]>([
    [null, /expected a list of interventions, or an object with one, got null/],
    ['evil', /got string/],
    [{}, /without "interventions"/],
    [{ interventions: [], vector: 'runs' }, /unknown key "vector"; did you mean "vectors"\?/],
    [{ interventions: [], history: 'dirty' }, /history/],
  ])('refuses %j as a whole', (value, says) => {
    expect(() => parseSteering(value, 'spec')).toThrow(says);
  });

  it('answers any JSON with a spec or a DataError', () => {
    const keys = fc.constantFrom(
      'layer',
      'vector',
      'coef',
      'norm',
      'cap',
      'min',
      'when',
      'positions',
      '__proto__',
      'x',
    );
    const anything = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue()));
    fc.assert(
      fc.property(anything, (entry) => {
        try {
          expect(parse(entry)).toEqual(entry);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      }),
    );
  });
});

describe('readSteering', () => {
  it.each([
    ['{"interventions": ', /expected JSON/],
    ['{"intervention": []}', /unknown key "intervention"; did you mean "interventions"\?/],
  ])('says what is wrong with %j, and where', async (content, says) => {
    const file = join(await temporaryFolder(), 'steer.json');
    await writeFile(file, content);
    await expect(readSteering(file)).rejects.toThrow(says);
    await expect(readSteering(file)).rejects.toThrow(`"${file}"`);
    await expect(readSteering(file)).rejects.toBeInstanceOf(PersonaError);
  });
});
