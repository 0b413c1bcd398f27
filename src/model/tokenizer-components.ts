import { isJsonObject } from './json-text.ts';
import type { Json } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { ModelError } from '../errors.ts';

/** Deepest nesting of `Sequence`; tokenizers in use have one level. */
const MAX_NESTING = 8;
/** Most characters that a `Strip` decoder cuts; each is a step of a loop. Tokenizers in use cut one. */
const MAX_STRIP = 1_000;

export interface Components {
  /** Normalizer, pre-tokenizer, post-processor and decoder as the library wants them. */
  readonly definition: object;
  /** Whether encoding or decoding meets regular expressions that the file brings along. */
  readonly encodePatterns: boolean;
  readonly decodePatterns: boolean;
}

/** What one kind of component may look like: how it is checked, and what the library gets. */
type Check = (fields: JsonFields, found: Found) => object;

interface Found {
  readonly vocabulary: ReadonlyMap<string, number>;
  patterns: number;
}

/**
 * Checks the components around the vocabulary. Each list below names the kinds that the library runs as Hugging
 * Face's own implementation does; the others are refused by name rather than approximated.
 */
export function checkComponents(document: JsonFields, vocabulary: ReadonlyMap<string, number>): Components {
  const encode: Found = { vocabulary, patterns: 0 };
  const decode: Found = { vocabulary, patterns: 0 };
  const definition = {
    normalizer: checkComponent(document, 'normalizer', normalizers, 'normalizers', encode, 0),
    pre_tokenizer: checkComponent(document, 'pre_tokenizer', preTokenizers, 'pretokenizers', encode, 0),
    post_processor: checkComponent(document, 'post_processor', postProcessors, 'processors', encode, 0),
    decoder: checkComponent(document, 'decoder', decoders, 'decoders', decode, 0),
  };
  return { definition, encodePatterns: encode.patterns > 0, decodePatterns: decode.patterns > 0 };
}

/** The ModelError for a part of a tokenizer that cannot be run exactly. */
export function unsupported(file: string, got: string, expected: string): ModelError {
  return new ModelError(
    `"${file}": the tokenizer has ${got}, but only ${expected} can be run exactly; use a model with another tokenizer.`,
    { details: { file, expected, got } },
  );
}

const asIs: Check = () => ({});

const normalizers: Readonly<Record<string, Check>> = {
  NFC: asIs,
  NFD: asIs,
  NFKC: asIs,
  NFKD: asIs,
  Lowercase: asIs,
  Prepend: (fields) => ({ prepend: text(fields, 'prepend') }),
  Replace: replace,
  Strip: (fields) => ({
    strip_left: fields.optionalBoolean('strip_left') ?? false,
    strip_right: fields.optionalBoolean('strip_right') ?? false,
  }),
};

const preTokenizers: Readonly<Record<string, Check>> = {
  ByteLevel: (fields) => ({
    add_prefix_space: fields.optionalBoolean('add_prefix_space') ?? false,
    use_regex: fields.optionalBoolean('use_regex') ?? true,
  }),
  Digits: (fields) => ({ individual_digits: fields.optionalBoolean('individual_digits') ?? false }),
  Metaspace: metaspace,
  Punctuation: (fields) => {
    if (fields.optionalString('behavior') !== 'Contiguous')
      throw behavior(fields, 'Punctuation', 'Contiguous');
    return { behavior: 'Contiguous' };
  },
  Split: split,
  WhitespaceSplit: asIs,
};

const postProcessors: Readonly<Record<string, Check>> = {
  ByteLevel: asIs,
  TemplateProcessing: (fields) => ({ single: template(fields), pair: [] }),
};

const decoders: Readonly<Record<string, Check>> = {
  ByteFallback: asIs,
  ByteLevel: asIs,
  Fuse: asIs,
  Metaspace: (fields) => ({ replacement: fields.optionalString('replacement') ?? wordStart }),
  Replace: replace,
  Strip: (fields) => ({
    content: text(fields, 'content'),
    start: fields.optionalInteger('start', 0, MAX_STRIP) ?? 0,
    stop: fields.optionalInteger('stop', 0, MAX_STRIP) ?? 0,
  }),
};

const wordStart = '\u2581';

function checkComponent(
  parent: JsonFields,
  name: string,
  kinds: Readonly<Record<string, Check>>,
  listName: string,
  found: Found,
  depth: number,
): object | null {
  const fields = parent.optionalObject(name);
  if (fields === undefined) return null;
  const type = text(fields, 'type');
  if (type === 'Sequence') {
    if (depth >= MAX_NESTING)
      throw unsupported(parent.file, `a ${name} nested too deeply`, `${MAX_NESTING} levels`);
    return { type, [listName]: members(fields, name, kinds, listName, found, depth + 1) };
  }
  const check = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (check === undefined)
    throw unsupported(parent.file, `the ${name} ${JSON.stringify(type)}`, Object.keys(kinds).join(', '));
  return { type, ...check(fields, found) };
}

function members(
  fields: JsonFields,
  name: string,
  kinds: Readonly<Record<string, Check>>,
  listName: string,
  found: Found,
  depth: number,
): (object | null)[] {
  const list = fields.raw(listName);
  if (!Array.isArray(list)) throw fields.wrong(listName, 'a list');
  return list.map((_: Json, index) => {
    // The list read as an object lets each member be named by its place in messages.
    const entries = jsonFields(Object.fromEntries(list.entries()), fields.file, `${name}.${listName}.`);
    return checkComponent(entries, String(index), kinds, listName, found, depth);
  });
}

function split(fields: JsonFields, found: Found): object {
  const mode = fields.optionalString('behavior');
  const invert = fields.optionalBoolean('invert') ?? false;
  // Keeping only what matches is the one inverted form that tokenizers in use have.
  if (mode !== 'Removed' && (mode !== 'Isolated' || invert))
    throw behavior(fields, 'Split', 'Isolated or Removed');
  return { pattern: pattern(fields, found), behavior: mode, invert };
}

function replace(fields: JsonFields, found: Found): object {
  return { pattern: pattern(fields, found), content: text(fields, 'content') };
}

function metaspace(fields: JsonFields, found: Found): object {
  const replacement = fields.optionalString('replacement') ?? wordStart;
  const scheme = fields.optionalString('prepend_scheme');
  const legacy = fields.optionalBoolean('add_prefix_space') ?? true;
  if (scheme !== undefined && !['always', 'first', 'never'].includes(scheme))
    throw fields.wrong('prepend_scheme', '"always", "first" or "never"');
  // Cutting at word starts changes nothing unless a token reaches over one, which the library would not see.
  if ((fields.optionalBoolean('split') ?? true) && reachesOverWords(found.vocabulary, replacement))
    throw unsupported(
      fields.file,
      'a Metaspace that splits, with tokens of several words',
      'one without "split"',
    );
  return { replacement, prepend_scheme: scheme ?? (legacy ? 'always' : 'never') };
}

function reachesOverWords(vocabulary: ReadonlyMap<string, number>, replacement: string): boolean {
  for (const token of vocabulary.keys()) if (token.lastIndexOf(replacement) > 0) return true;
  return false;
}

function pattern(fields: JsonFields, found: Found): object {
  const value = fields.optionalObject('pattern');
  const literal = value?.optionalString('String');
  if (literal !== undefined) return { String: literal };
  const expression = value?.optionalString('Regex');
  if (expression === undefined) throw fields.wrong('pattern', 'an object with "String" or "Regex"');
  found.patterns++;
  return { Regex: expression };
}

function template(fields: JsonFields): object[] {
  const pieces = fields.raw('single');
  const wrong = (): Error => fields.wrong('single', 'a list of known SpecialToken and one Sequence A');
  if (!Array.isArray(pieces)) throw wrong();
  return pieces.map((piece: Json) => {
    if (!isJsonObject(piece)) throw wrong();
    for (const kind of ['SpecialToken', 'Sequence']) {
      const id = isJsonObject(piece[kind]) ? piece[kind]['id'] : undefined;
      if (typeof id === 'string') return { [kind]: { id, type_id: 0 } };
    }
    throw wrong();
  });
}

function text(fields: JsonFields, name: string): string {
  const value = fields.optionalString(name);
  if (value === undefined) throw fields.wrong(name, 'a string');
  return value;
}

function behavior(fields: JsonFields, kind: string, expected: string): Error {
  const got = `${kind} with behavior ${JSON.stringify(fields.raw('behavior') ?? null)}, invert ${JSON.stringify(fields.raw('invert') ?? false)}`;
  return unsupported(fields.file, got, `behavior ${expected}`);
}
