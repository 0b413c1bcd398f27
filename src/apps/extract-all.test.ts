import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { LanguageModel } from '../engine/model.ts';
import { type Trait, parseTrait } from '../persona/trait.ts';
import { extractAll } from './extract-all.ts';

const named = (name: string, changes: object = {}): Trait =>
  parseTrait({ ...fakeTrait, name, ...changes }, '');
const swapped = fakeTrait.instruction.map(({ pos, neg }) => ({ pos: neg, neg: pos }));
const traits = [named('cheerful'), named('back/wards', { instruction: swapped }), named('merry')];
const quick = { samples: 10, maxTokens: 16, sweep: false } as const;

describe('extractAll', () => {
  it('extracts every trait into a folder of its own, and tells of one that keeps too few pairs', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const begun: string[] = [];
    const onTrait = ({ name }: Trait, index: number) => {
      begun.push(`${index} ${name}`);
      return undefined;
    };
    const outcomes = await extractAll({ model, traits, out: folder, onTrait, ...quick });
    expect(begun).toEqual(['0 cheerful', '1 back/wards', '2 merry']);
    expect(outcomes).toMatchObject([
      { trait: 'cheerful', folder: join(folder, 'cheerful'), failure: null },
      { trait: 'back/wards', folder: join(folder, 'back-wards'), result: null },
      { trait: 'merry', folder: join(folder, 'merry'), failure: null },
    ]);
    expect(outcomes[1]!.failure).toContain('got 0 (dropped: ');
    expect(outcomes[0]!.result!.vector.row(3)[0]).toBeGreaterThan(1);

    const silent: LanguageModel = { ...model, generate: () => expect.unreachable('all is there') };
    const again = await extractAll({ model: silent, traits, out: folder, ...quick });
    expect(again).toEqual(outcomes);
  });

  it('goes on after a stop', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const controller = new AbortController();
    const two = [traits[0]!, traits[2]!];
    const onTrait = (_: Trait, index: number) => {
      if (index === 1) controller.abort();
      return undefined;
    };
    const stopped = extractAll({
      model,
      traits: two,
      out: join(folder, 'a'),
      signal: controller.signal,
      onTrait,
      ...quick,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
    const resumed = await extractAll({ model, traits: two, out: join(folder, 'a'), ...quick });
    const straight = await extractAll({ model, traits: two, out: join(folder, 'b'), ...quick });
    const artifacts = resumed.map(({ result }) => result!.manifest.artifacts);
    expect(artifacts).toEqual(straight.map(({ result }) => result!.manifest.artifacts));
  });

  it('refuses two traits of one name, none, and a trait that the judge cannot judge, before any work', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const mute: LanguageModel = { ...model, generate: () => expect.unreachable('nothing is generated') };
    const all = (list: readonly Trait[]) => extractAll({ model: mute, traits: list, out: folder, ...quick });
    await expect(all([named('a b'), named('a-b')])).rejects.toThrow('got "a-b" twice');
    await expect(all([])).rejects.toThrow('got none');
    await expect(all([traits[0]!, named('plain', { lexicon: undefined })])).rejects.toThrow('no "lexicon"');
  });
});
