import { UsageError } from '../../errors.ts';
import { nearestName } from '../../util/nearest.ts';
import { isObject } from '../strict-json.ts';

/** What of a row a column can be said to be. */
const parts = ['id', 'source', 'messages', 'role', 'content', 'system', 'prompt', 'answer'] as const;
export type MappedPart = (typeof parts)[number];

/** Where the parts of rows are found that none of the known schemas describes; paths lead into objects by dots. */
export type ColumnMap = Readonly<Partial<Record<MappedPart, string>>>;

/**
 * Reads `prompt=question,answer=best_reply` or `messages=dialog,role=speaker,content=text`.
 *
 * @throws UsageError for a part that there is not, and where a row would have neither messages nor prompt and answer.
 */
export function parseColumnMap(text: string): ColumnMap {
  const map: Partial<Record<MappedPart, string>> = {};
  for (const pair of text.split(',')) {
    const [name = '', ...rest] = pair.split('=').map((part) => part.trim());
    const part = parts.find((known) => known === name);
    if (part === undefined || rest.length !== 1 || rest[0] === '') {
      const nearest = nearestName(name, parts);
      const hint = nearest === null ? `the parts are ${parts.join(', ')}` : `did you mean "${nearest}"?`;
      throw new UsageError(`--map: expected part=column, got ${JSON.stringify(pair)}; ${hint}`);
    }
    map[part] = rest[0]!;
  }
  const isPair = map.prompt !== undefined && map.answer !== undefined;
  if (map.messages === undefined && !isPair)
    throw new UsageError(
      `--map: expected messages=COLUMN, or prompt=COLUMN and answer=COLUMN, got ${JSON.stringify(text)}.`,
    );
  return map;
}

const roleNames: Readonly<Record<string, string>> = {
  human: 'user',
  prompter: 'user',
  customer: 'user',
  gpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  chatbot: 'assistant',
  ai: 'assistant',
  observation: 'tool',
};

/** The row in one of the known layouts, `messages` or `prompt` and `answer`. */
export function applyColumnMap(value: unknown, map: ColumnMap): Readonly<Record<string, unknown>> {
  const at = (part: MappedPart): unknown => (map[part] === undefined ? undefined : lookUp(value, map[part]));
  const kept = { id: at('id'), source: at('source') };
  const system = at('system');
  const first = typeof system === 'string' && system !== '' ? [{ role: 'system', content: system }] : [];
  if (map.messages === undefined) {
    const [prompt, answer] = [at('prompt'), at('answer')];
    const turns = [...first, { role: 'user', content: prompt }, { role: 'assistant', content: answer }];
    return { ...kept, messages: turns };
  }
  const list = at('messages');
  const turns = Array.isArray(list) ? list.map((turn) => toMessage(turn, map)) : [];
  return { ...kept, messages: [...first, ...turns] };
}

function toMessage(turn: unknown, { role = 'role', content = 'content' }: ColumnMap): object {
  const name = lookUp(turn, role);
  const known = typeof name === 'string' ? (roleNames[name.toLowerCase()] ?? name.toLowerCase()) : name;
  return { role: known, content: lookUp(turn, content) };
}

function lookUp(value: unknown, path: string): unknown {
  if (isObject(value) && Object.hasOwn(value, path)) return value[path];
  return path.split('.').reduce<unknown>((at, key) => {
    if (Array.isArray(at)) return at[Number(key)];
    return isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }, value);
}
