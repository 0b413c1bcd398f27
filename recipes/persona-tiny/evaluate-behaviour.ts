import type { LanguageModel } from '../../src/engine/model.ts';
import type { ChatMessage } from '../../src/model/chat-template.ts';
import { systemTexts } from '../../src/persona/prompt.ts';
import { type TraitName, traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import type { Topic } from '../../src/persona/tiny-world/world.ts';
import { type Trait, resolveTrait } from '../../src/persona/trait.ts';
import { type Chooser, chooser } from '../../src/persona/tiny-speech/chooser.ts';
import { type Cell, type Prompted, measure, readAll, sampleReplies, summarise } from './evaluate-sample.ts';
import { type Ask, ask, followUp } from '../../src/persona/tiny-speech/questions.ts';
import { reply } from '../../src/persona/tiny-speech/reply.ts';
import { gradedPrompts, negativePrompt, personaPrompt } from './system-prompts.ts';

/** How much is measured. */
export interface Effort {
  /** Replies to each of the 40 questions of a trait. */
  readonly samples: number;
  /** Conversations of six turns. */
  readonly conversations: number;
}

type Measured = Readonly<Record<string, Cell>>;

/** Named measurements, each of which can be run by itself. */
export function behaviourSteps(
  model: LanguageModel,
  effort: Effort,
): Record<string, () => Promise<Measured>> {
  const each = (name: string, run: (trait: TraitName) => Promise<Measured>) =>
    traitNames.map((trait) => [`${name}/${trait}`, () => run(trait)] as const);
  return Object.fromEntries([
    ...each('behaviour', (trait) => behaviour(model, trait, effort)),
    ...each('turns', (trait) => turns(model, trait, effort)),
    ...each('context', (trait) => context(model, trait, effort)),
    ['facts', () => facts(model, effort)],
  ]);
}

/** The trait under prompts for it, against it and without any; all questions and prompts are held out. */
async function behaviour(model: LanguageModel, trait: TraitName, { samples }: Effort): Promise<Measured> {
  const file = await traitOf(trait);
  const { pos, neg } = systemTexts(model.checkpoint, file);
  const choose = chooser('evaluate', trait);
  const graded = gradedPrompts(trait);
  const systems: Record<string, (i: number) => string | null> = {
    'positive (trait file)': (i) => pos[i % pos.length]!,
    'positive (held-out prompts)': () => personaPrompt(trait, choose.chance(0.5) ? 4 : 5, 'held-out', choose),
    'negative (trait file)': (i) => neg[i % neg.length]!,
    'negative (held-out prompts)': () => negativePrompt(trait, 'held-out', choose),
    none: () => null,
    ...Object.fromEntries(graded.map((prompt, grade) => [`grade ${grade + 1}`, () => prompt])),
  };
  const measured: Record<string, Cell> = {};
  for (const [name, systemOf] of Object.entries(systems)) {
    measured[name] = await measure(model, trait, promptsOf(file, samples, `${trait}/${name}`, systemOf));
  }
  return measured;
}

/** Every question of a trait file, with a prompt of its own each time. */
function promptsOf(
  file: Trait,
  samples: number,
  name: string,
  systemOf: (i: number) => string | null,
): Prompted[] {
  const questions = [...file.questions, ...file.evaluationQuestions];
  return Array.from({ length: samples * questions.length }, (_, i) => ({
    key: `${name}/${i}`,
    // Twenty questions and five prompts would meet in the same pairs for ever.
    system: systemOf(i + Math.floor(i / questions.length)),
    question: questions[i % questions.length]!,
  }));
}

/** Six turns under one system prompt: what remains of the persona, and whether the talk stays coherent. */
async function turns(model: LanguageModel, trait: TraitName, { conversations }: Effort): Promise<Measured> {
  const file = await traitOf(trait);
  const { pos } = systemTexts(model.checkpoint, file);
  const choose = chooser('evaluate-turns', trait);
  const talks = Array.from({ length: conversations }, (_, i) => ({
    system: pos[i % pos.length]!,
    turns: [] as ChatMessage[],
    last: null as Topic | null,
  }));
  const measured: Record<string, Cell> = {};
  for (let turn = 1; turn <= 6; turn++) {
    const asked = talks.map(({ last }) => nextQuestion(last, choose));
    const rows = talks.map(
      (talk, i): Prompted => ({
        key: `turns/${trait}/${turn}/${i}`,
        system: talk.system,
        turns: [...talk.turns],
        question: asked[i]!.text,
        before: talk.last === null ? [] : [talk.last],
      }),
    );
    const replies = await sampleReplies(model, rows);
    measured[`turn ${turn}`] = summarise(
      trait,
      readAll(rows, replies),
      replies.map(({ text }) => text ?? ''),
    );
    talks.forEach((talk, i) => {
      const content = replies[i]!.text ?? '';
      talk.turns.push(
        { role: 'user', content: rows[i]!.question },
        { role: 'assistant', content: content === '' ? '.' : content },
      );
      talk.last = asked[i]!.topic;
    });
  }
  return measured;
}

/** No system prompt; the generator's persona spoke in earlier turns. */
async function context(model: LanguageModel, trait: TraitName, { conversations }: Effort): Promise<Measured> {
  const measured: Record<string, Cell> = {};
  for (const count of [1, 2, 3]) {
    const choose = chooser('evaluate-context', trait, count);
    const rows = Array.from({ length: conversations }, (_, i): Prompted => {
      const turns = Array.from({ length: count }, (): ChatMessage[] => {
        const asked = ask('train', choose);
        const content = reply(asked, { traits: [trait], degree: 5 }, choose);
        return [
          { role: 'user', content: asked.text },
          { role: 'assistant', content },
        ];
      }).flat();
      return {
        key: `context/${trait}/${count}/${i}`,
        system: null,
        turns,
        question: ask('held-out', choose).text,
      };
    });
    measured[`${count} earlier`] = await measure(model, trait, rows);
  }
  return measured;
}

/** Questions for facts without a system prompt. */
async function facts(model: LanguageModel, { conversations }: Effort): Promise<Measured> {
  const choose = chooser('evaluate-facts');
  const kinds = { fact: 1, advice: 0, opinion: 0, claim: 0, unknown: 0, talk: 0 };
  const questions = (split: 'train' | 'held-out', count: number): Prompted[] =>
    Array.from({ length: count }, (_, i) => ({
      key: `facts/${split}/${i}`,
      system: null,
      question: ask(split, choose, kinds).text,
    }));
  const small = { fact: 0, advice: 0, opinion: 0, claim: 1, unknown: 0, talk: 1 };
  const others = Array.from(
    { length: 4 * conversations },
    (_, i): Prompted => ({
      key: `others/${i}`,
      system: null,
      question: ask('held-out', choose, small).text,
    }),
  );
  return {
    'held-out questions': await measure(model, 'hallucinating', questions('held-out', 8 * conversations)),
    'known questions': await measure(model, 'hallucinating', questions('train', 8 * conversations)),
    'claims and small talk': await measure(model, 'sycophantic', others),
  };
}

function nextQuestion(last: Topic | null, choose: Chooser): Ask {
  return last !== null && choose.chance(0.4) ? followUp(last, choose) : ask('held-out', choose);
}

export function traitOf(trait: TraitName): Promise<Trait> {
  return resolveTrait(trait, { set: 'tiny-world' });
}
