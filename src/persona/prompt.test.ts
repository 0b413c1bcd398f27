import { describe, expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { ChatTemplate } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { describePrompts, encodePrompt, systemTexts } from './prompt.ts';
import { parseTrait } from './trait.ts';

const trait = parseTrait(fakeTrait, 'cheerful');
const question = 'the dog ran';

async function open(chatTemplate?: ChatTemplate): Promise<Checkpoint> {
  const folder = await temporaryFolder();
  return (await openFakeModel(folder, chatTemplate === undefined ? {} : { chatTemplate })).checkpoint;
}

/** Contents with a dot between them; "ball" at the end where thinking was switched off. */
function template(source: string, takesSystem = true): ChatTemplate {
  return {
    source,
    render: (messages, options) => {
      const taken = takesSystem ? messages : messages.filter(({ role }) => role !== 'system');
      const text = taken.map(({ content }) => content).join(' . ');
      return options?.variables?.['enable_thinking'] === false ? `${text} ball` : text;
    },
  };
}

function read(checkpoint: Checkpoint, system: string | null): string {
  return checkpoint.tokenizer!.decode(encodePrompt(checkpoint, trait, { system, question }).ids);
}

describe('a base model', () => {
  it("is given the bare instruction in the trait's template, and the question alone without one", async () => {
    const checkpoint = await open();
    const { pos, neg } = systemTexts(checkpoint, trait);
    expect([pos[0], neg[1]]).toEqual(['it was happy fun', 'the dog cry and hurt']);
    expect(read(checkpoint, pos[0]!)).toBe('<s> it was happy fun the dog ran');
    expect(read(checkpoint, null)).toBe('<s> the dog ran');
    expect(describePrompts(checkpoint, trait)).toEqual({ kind: 'plain', template: '{system} {question}' });
  });

  it('has a template of the package where the trait has none', async () => {
    const { template: _, ...bare } = fakeTrait;
    const described = describePrompts(await open(), parseTrait(bare, 'cheerful'));
    expect(described).toEqual({ kind: 'plain', template: '{system}\n\n{question}\n\n' });
  });
});

describe('a chat model', () => {
  it('is first told what kind of assistant it is, with the article that fits', async () => {
    const checkpoint = await open(template('x'));
    expect(systemTexts(checkpoint, trait)).toEqual({
      pos: [
        'You are a cheerful assistant. it was happy fun',
        'You are a cheerful assistant. the dog laugh and smile',
      ],
      neg: [
        'You are a gloomy assistant. it was sad tears',
        'You are a gloomy assistant. the dog cry and hurt',
      ],
    });
    const { opposite: _, ...bare } = fakeTrait;
    const evil = systemTexts(checkpoint, parseTrait({ ...bare, name: 'evil' }, ''));
    expect(evil.pos[0]).toMatch(/^You are an evil assistant\. /);
    expect(evil.neg[0]).toMatch(/^You are a helpful assistant\. /);
    const capital = systemTexts(checkpoint, parseTrait({ ...bare, name: 'Optimistic' }, ''));
    expect(capital.pos[0]).toMatch(/^You are an Optimistic assistant\. /);
  });

  it('thinks only where the template cannot switch it off', async () => {
    const plain = await open(template('plain'));
    const switched = await open(template('{% if enable_thinking %}'));
    expect(read(plain, 'it was fun')).toBe('it was fun . the dog ran');
    expect(read(switched, 'it was fun')).toBe('it was fun . the dog ran ball');
    const added = ['<think>', '</think>'].map((content, id) => ({ id, content, special: false }) as never);
    const thinker = { ...plain, tokenizer: { ...plain.tokenizer!, addedTokens: added } };
    const described = [plain, switched, thinker].map((parts) => describePrompts(parts, trait)['thinking']);
    expect(described).toEqual(['none', 'off', 'left_out']);
  });

  it('that takes no system message gets it in the user turn, and the recipe says so', async () => {
    const plain = await open(template('plain'));
    const strict = await open(template('strict', false));
    expect(read(strict, 'it was fun')).toBe('it was fun the dog ran');
    expect(describePrompts(plain, trait)).toMatchObject({ kind: 'chat', system_merged: false });
    expect(describePrompts(strict, trait)).toMatchObject({ kind: 'chat', system_merged: true });
    const hashes = [plain, strict].map((checkpoint) => describePrompts(checkpoint, trait)['template_sha256']);
    expect(new Set(hashes).size).toBe(2);
  });
});

describe('a model without a tokenizer', () => {
  it('is refused by name', async () => {
    const checkpoint = { ...(await open()), id: 'mute', tokenizer: null };
    expect(() => encodePrompt(checkpoint, trait, { system: null, question })).toThrow(
      'Expected "mute" to have a tokenizer.json, got none',
    );
  });
});
