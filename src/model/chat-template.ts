import { join } from 'node:path';
import { jinjaTemplate } from './jinja.ts';
import type { TemplateVariables } from './jinja.ts';
import { isJsonObject, readJsonObject } from './json-text.ts';
import type { Json } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { pathKind, readSmallFile } from './read-bytes.ts';
import { strftime } from './strftime.ts';
import { MAX_TOKENIZER_CONFIG_BYTES, readTokenizerConfig } from './tokenizer.ts';
import { tokenText } from './tokenizer-file.ts';
import { ModelError, ParseError } from '../errors.ts';

export type { TemplateVariables } from './jinja.ts';

/** Longest `chat_template.jinja`: the longest in use has 25,000 bytes. */
const MAX_TEMPLATE_BYTES = 4_000_000;

/**
 * The day that templates are told unless a caller says otherwise. Templates of the Llama 3 kind print the date; a fixed
 * one keeps prompts, and so vectors, the same tomorrow. It is the day that those templates fall back to themselves.
 */
export const defaultTemplateDate: Date = new Date(Date.UTC(2024, 6, 26, 12));

export const chatRoles = ['system', 'user', 'assistant', 'tool'] as const;
export type ChatRole = (typeof chatRoles)[number];

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: ChatRole;
  readonly content: string;
}

export interface RenderOptions {
  /** Whether the text ends with the opening of an assistant turn; default false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of the template, such as `enable_thinking`; they win over those given anyway. */
  readonly variables?: TemplateVariables;
  /** What `strftime_now` and `date_string` tell, in UTC; default `defaultTemplateDate`. */
  readonly now?: Date;
}

/** A model's chat template: messages to the text that the model was trained on. */
export interface ChatTemplate {
  /** The template's text. */
  readonly source: string;
  /**
   * Renders under limits of time and size.
   *
   * @throws DataError with the template's own words where it refuses the messages; ModelError where it fails, never ends
   *   or grows without bound; UsageError for a variable with a name of the language.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

/**
 * The chat template of a model folder: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`; null where
 * there is neither.
 *
 * @throws ParseError for a malformed file or template; ModelError where several templates are named and none `default`.
 */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | null> {
  const config = await readTokenizerConfig(folder);
  const file = join(folder, 'chat_template.jinja');
  const hasFile = (await pathKind(file)) !== null;
  const map = await specialTokensMap(folder);
  if (!hasFile) return templateOf(config, map);
  return chatTemplate(await readTemplate(file), specialTokens(config, map), file);
}

/** The chat template in the settings of a tokenizer; `map` spells tokens that those leave out. Errors as above. */
export function templateOf(config: JsonFields, map: JsonFields | null): ChatTemplate | null {
  const source = templateSource(config);
  return source === null ? null : chatTemplate(source, specialTokens(config, map), config.file);
}

/** The chat template with this text; `tokens` are variables such as `bos_token`, and `origin` names it in messages. */
export function chatTemplate(source: string, tokens: TemplateVariables, origin: string): ChatTemplate {
  const template = jinjaTemplate(source, origin);
  return {
    source,
    render: (messages, { addGenerationPrompt = false, variables = {}, now = defaultTemplateDate } = {}) => {
      const standard = {
        ...tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
        date_string: strftime(now, '%d %b %Y'),
        // Hugging Face gives both, as none, to every template.
        tools: null,
        documents: null,
      };
      return template.render({ ...standard, ...variables }, now);
    },
  };
}

async function readTemplate(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readSmallFile(file, MAX_TEMPLATE_BYTES));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ParseError(`"${file}" is not UTF-8 text; download the file again.`, {
      details: { file },
      cause: error,
    });
  }
}

/** One template, or a list of `{ name, template }` of which `default` is the one for chats. */
function templateSource(config: JsonFields): string | null {
  const found = config.raw('chat_template') ?? null;
  if (found === null || typeof found === 'string') return found;
  if (!Array.isArray(found)) throw config.wrong('chat_template', 'a string or a list of templates');
  const named = new Map(found.map((entry: Json) => namedTemplate(entry, config)));
  const chosen = named.get('default') ?? (named.size === 1 ? [...named.values()][0] : undefined);
  if (chosen !== undefined) return chosen;
  if (named.size === 0) return null;
  throw new ModelError(
    `"${config.file}" names the chat templates ${[...named.keys()].join(', ')}, but none "default"; put the one to use into chat_template.jinja.`,
    { details: { file: config.file } },
  );
}

function namedTemplate(entry: Json, config: JsonFields): [string, string] {
  if (isJsonObject(entry)) {
    const { name, template } = entry;
    if (typeof name === 'string' && typeof template === 'string') return [name, template];
  }
  throw config.wrong('chat_template', 'a list of objects with "name" and "template"');
}

const tokenNames = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
];

/** Spellings of the model's special tokens; those that `tokenizer_config.json` leaves out may be in the older file. */
function specialTokens(config: JsonFields, map: JsonFields | null): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of tokenNames) {
    const text = tokenText(config, name) ?? (map === null ? null : tokenText(map, name));
    if (text !== null) found[name] = text;
  }
  return found;
}

async function specialTokensMap(folder: string): Promise<JsonFields> {
  const file = join(folder, 'special_tokens_map.json');
  const exists = (await pathKind(file)) !== null;
  return jsonFields(exists ? await readJsonObject(file, MAX_TOKENIZER_CONFIG_BYTES) : {}, file);
}
