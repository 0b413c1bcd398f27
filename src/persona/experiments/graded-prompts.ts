import { z } from 'zod';
import { parseStrict, readUserJson } from '../../store/strict-json.ts';
import { systemTexts, type PromptParts } from '../prompt.ts';
import type { Trait } from '../trait.ts';

/** Steps of the ladder from discouraging to encouraging, as in the paper. */
export const GRADES = 8;

/**
 * Eight system prompts of a trait, the first discouraging it most, the last encouraging it most. The two ends are the
 * trait's own instructions, the steps between say how much in words of degree.
 */
export function gradedPrompts(parts: PromptParts, trait: Trait): string[] {
  const { name, opposite } = trait;
  const { pos, neg } = systemTexts(parts, trait);
  const be = (words: string): string => `You are ${/^[aeiou]/i.test(words) ? 'an' : 'a'} ${words} assistant.`;
  return [
    neg[0]!,
    opposite === null ? `${be('helpful')} Never be ${name}.` : be(opposite),
    be('helpful'),
    be(`slightly ${name}`),
    be(`somewhat ${name}`),
    be(`rather ${name}`),
    be(`very ${name}`),
    pos[0]!,
  ];
}

/** Eight prompts from a JSON list, the first discouraging most; DataError for another number. */
export async function readGradedPrompts(file: string): Promise<string[]> {
  const schema = z
    .array(z.string().min(1))
    .length(GRADES, `expected ${GRADES} prompts, from discouraging to encouraging`);
  return parseStrict(schema, await readUserJson(file), `"${file}"`);
}
