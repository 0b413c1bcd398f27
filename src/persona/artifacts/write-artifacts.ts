import { DataError, ParseError } from '../../errors.ts';
import { describeIssues } from '../../store/schema.ts';
import type { ChatProvider, ChatReply, ChatTurn } from '../providers/chat-provider.ts';
import { type Trait, parseTrait } from '../trait.ts';
import { answerSchema, artifactPrompt, draftSchema, repairPrompt } from './artifact-prompts.ts';
import { QUESTIONS, findArtifactProblems } from './check-artifacts.ts';

export interface WriteArtifactsOptions {
  /** An adjective, such as `melancholic`. */
  readonly name: string;
  /** What is meant by it, in a sentence or two. */
  readonly description: string;
  readonly provider: ChatProvider;
  readonly signal?: AbortSignal | undefined;
  /** Told that a first answer has to be corrected, and why. */
  readonly onNote?: (line: string) => void;
}

/** Room for forty questions and all the rest. */
const MAX_TOKENS = 8000;
const TEMPERATURE = 0.7;
/** Problems that are told to a reader; a model is told all. */
const SHOWN = 4;

/**
 * Has a language model write a trait's artifacts: instructions, questions and judge prompt. What it sends is checked, and if
 * something is wrong it is told so once.
 *
 * @throws DataError where the second answer cannot be used either, or the model declines; what the provider throws.
 */
export async function writeArtifacts(options: WriteArtifactsOptions): Promise<Trait> {
  const { name, description, provider, signal, onNote } = options;
  const request = { maxTokens: MAX_TOKENS, temperature: TEMPERATURE, schema: answerSchema() };
  const turns: ChatTurn[] = [{ role: 'user', content: artifactPrompt(name, description) }];
  const first = await provider.complete({ ...request, turns }, signal);
  const draft = readDraft(first, name, description);
  if (draft.trait !== null) return draft.trait;
  onNote?.(`The first answer of ${provider.id} has to be corrected: ${shown(draft.problems)}.`);
  turns.push({ role: 'assistant', content: first.text || '{}' });
  turns.push({ role: 'user', content: repairPrompt(draft.problems) });
  const second = readDraft(await provider.complete({ ...request, turns }, signal), name, description);
  if (second.trait !== null) return second.trait;
  throw new DataError(
    `Expected artifacts for "${name}" from ${provider.id}, got none that can be used, even after one correction (${shown(second.problems)}); try again, describe the trait otherwise, or choose another model.`,
    { details: { trait: name, provider: provider.id, problems: second.problems.length } },
  );
}

type Draft =
  | { readonly trait: Trait; readonly problems: readonly [] }
  | { readonly trait: null; readonly problems: readonly string[] };

function readDraft(reply: ChatReply, name: string, description: string): Draft {
  const fail = (...problems: string[]): Draft => ({ trait: null, problems });
  if (reply.finish === 'refused') return fail('the model declined to write them');
  if (reply.finish === 'length') return fail('the answer broke off at the token limit; write shorter texts');
  const parsed = draftSchema.safeParse(parseLoosely(reply.text));
  if (!parsed.success)
    return fail(`it is not the JSON object that was asked for: ${describeIssues(parsed.error)}`);
  const { opposite, instruction, questions, eval_prompt } = parsed.data;
  const asked = questions.map((question) => question.trim());
  const content = {
    name,
    opposite: opposite.trim() || undefined,
    description,
    instruction,
    // Every second one: what a model thinks of late differs from what it thinks of first.
    questions: asked.filter((_, i) => i % 2 === 0),
    evaluation_questions: asked.filter((_, i) => i % 2 === 1),
    eval_prompt,
  };
  if (asked.length !== 2 * QUESTIONS)
    return fail(`${asked.length} questions, where ${2 * QUESTIONS} were asked for`);
  try {
    const trait = parseTrait(content, name, 'the answer');
    const problems = findArtifactProblems(trait);
    return problems.length === 0 ? { trait, problems: [] } : fail(...problems);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return fail(error.message);
  }
}

/** The JSON in an answer that may have thoughts before it and fences around it; undefined for none. */
function parseLoosely(text: string): unknown {
  const said = text.replace(/^[^]*<\/think>/, '');
  const [start, end] = [said.indexOf('{'), said.lastIndexOf('}')];
  try {
    return JSON.parse(said.slice(start, end + 1)) as unknown;
  } catch {
    return undefined;
  }
}

function shown(problems: readonly string[]): string {
  const more = problems.length > SHOWN ? `; and ${problems.length - SHOWN} more` : '';
  return `${problems.slice(0, SHOWN).join('; ')}${more}`;
}
