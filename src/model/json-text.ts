import { ParseError } from '../errors.ts';
import { readSmallFile } from './read-bytes.ts';

/** A parsed JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Levels of nesting: files of this package's kinds need four; recursive code overflows at some thousands. */
const MAX_DEPTH = 64;

/**
 * The JSON object in a file of at most `limit` bytes.
 *
 * @throws ParseError when the file is no UTF-8, no JSON, no object, nested too deep, or names a key twice.
 */
export async function readJsonObject(file: string, limit: number): Promise<JsonObject> {
  return parseJsonObject(await readSmallFile(file, limit), file);
}

/** The JSON object in `bytes` (UTF-8); errors as `readJsonObject`, naming `file`. */
export function parseJsonObject(bytes: Uint8Array, file: string): JsonObject {
  const text = decodeUtf8(bytes, file);
  const value = parse(text, file);
  const problem = structuralProblem(text);
  if (problem !== null) throw malformed(file, problem);
  if (!isJsonObject(value)) throw malformed(file, `expected a JSON object, got ${describeJson(value)}`);
  return value;
}

/** Whether a JSON value is an object (and no list). */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON value in a few words, for error messages: short values as they are, long ones by kind. */
export function describeJson(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  if (text.length <= 60) return text;
  if (typeof value === 'string') return `${JSON.stringify(value.slice(0, 48))}… (${value.length} characters)`;
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
}

/**
 * A name from outside for an error message: quoted, control characters escaped, and whole unless it is absurdly long
 * (the longest tensor names in use have some 100 characters).
 */
export function quoteName(name: string): string {
  return name.length <= 200 ? JSON.stringify(name) : `${JSON.stringify(name.slice(0, 200))}…`;
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw malformed(file, 'expected UTF-8 text, got bytes that are not', error);
  }
}

function parse(text: string, file: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw malformed(
      file,
      `expected JSON, but ${error instanceof Error ? error.message : 'it is not'}`,
      error,
    );
  }
}

/**
 * What `JSON.parse` lets pass: a key named twice in one object (it keeps the last, other readers the first, so that a
 * file could mean one thing here and another elsewhere) and nesting that would overflow the stack of a recursive
 * reader. `text` is valid JSON, so strings, brackets and the colon after a key are all there is to look for.
 */
function structuralProblem(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') {
      if (open.length === MAX_DEPTH) return `expected at most ${MAX_DEPTH} levels of nesting, got more`;
      open.push(character === '{' ? new Set() : null);
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = closingQuote(text, at);
      if (isKey(text, end)) {
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        const keys = open.at(-1);
        if (keys?.has(key) === true) return `the key ${quoteName(key)} appears twice in one object`;
        keys?.add(key);
      }
      at = end;
    }
  }
  return null;
}

function closingQuote(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
}

/** Whether the string that ends at `end` is a key, that is, whether a colon follows it. */
function isKey(text: string, end: number): boolean {
  let at = end + 1;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}

function malformed(file: string, problem: string, cause?: unknown): ParseError {
  return new ParseError(`"${file}" is malformed: ${problem}; download or write the file again.`, {
    details: { file },
    cause,
  });
}
