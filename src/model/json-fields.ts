import { describeJson, isJsonObject } from './json-text.ts';
import type { Json, JsonObject } from './json-text.ts';
import { ModelError, ParseError } from '../errors.ts';

/**
 * Reads typed fields of one JSON object from outside; each reader throws a ParseError that names file, field, what was
 * expected and what came. Unless told otherwise, `null` says the same as an absent key.
 */
export interface JsonFields {
  readonly file: string;
  /** The raw value; undefined where it is absent or null. */
  raw(name: string): Json | undefined;
  /** An integer in [min, max]. */
  integer(name: string, min: number, max: number): number;
  optionalInteger(name: string, min: number, max: number): number | undefined;
  /** A finite number in (above, max]. */
  number(name: string, above: number, max: number): number;
  optionalNumber(name: string, above: number, max: number): number | undefined;
  optionalBoolean(name: string): boolean | undefined;
  optionalString(name: string): string | undefined;
  /** Fields of an object within this one. */
  optionalObject(name: string): JsonFields | undefined;
  /** Whether the key is there and its value null; some classes give an absent key another meaning. */
  isNull(name: string): boolean;
  /** Names of the fields that are neither absent nor null. */
  readonly names: readonly string[];
  /** The error for a field that is not what it should be. */
  wrong(name: string, expected: string): ParseError;
}

/** Fields of `object`, which lies in `file` under the path `prefix` (such as `rope_scaling.`). */
export function jsonFields(object: JsonObject, file: string, prefix = ''): JsonFields {
  const raw = (name: string): Json | undefined =>
    Object.hasOwn(object, name) ? (object[name] ?? undefined) : undefined;
  const wrong = (name: string, expected: string): ParseError =>
    new ParseError(
      `"${file}": expected "${prefix}${name}" to be ${expected}, got ${describeJson(raw(name))}; correct the file or download it again.`,
      { details: { file, field: `${prefix}${name}`, expected, got: describeJson(raw(name)) } },
    );
  const optional = <T>(
    name: string,
    expected: string,
    test: (value: Json) => value is T & Json,
  ): T | undefined => {
    const value = raw(name);
    if (value === undefined) return undefined;
    if (!test(value)) throw wrong(name, expected);
    return value;
  };
  const required = <T>(name: string, expected: string, value: T | undefined): T => {
    if (value === undefined) throw wrong(name, expected);
    return value;
  };
  const optionalInteger = (name: string, min: number, max: number): number | undefined =>
    optional(name, integerIn(min, max), (value): value is number => isInteger(value, min, max));
  const optionalNumber = (name: string, above: number, max: number): number | undefined =>
    optional(name, numberIn(above, max), (value): value is number => isNumber(value, above, max));
  return {
    file,
    raw,
    wrong,
    isNull: (name) => Object.hasOwn(object, name) && object[name] === null,
    names: Object.keys(object).filter((name) => raw(name) !== undefined),
    optionalInteger,
    integer: (name, min, max) => required(name, integerIn(min, max), optionalInteger(name, min, max)),
    optionalNumber,
    number: (name, above, max) => required(name, numberIn(above, max), optionalNumber(name, above, max)),
    optionalBoolean: (name) => optional(name, 'true or false', (value) => typeof value === 'boolean'),
    optionalString: (name) => optional(name, 'a string', (value) => typeof value === 'string'),
    optionalObject: (name) => {
      const value = optional(name, 'an object', isJsonObject);
      return value === undefined ? undefined : jsonFields(value, file, `${prefix}${name}.`);
    },
  };
}

/** The ModelError for a sound value that asks for something this package does not do. */
export function unsupported(
  fields: JsonFields,
  name: string,
  expected: string,
  got: Json | undefined,
): ModelError {
  const { details } = fields.wrong(name, expected);
  return new ModelError(
    `"${fields.file}" asks for what is not supported: expected "${String(details['field'])}" to be ${expected}, got ${describeJson(got)}; choose another checkpoint.`,
    { details: { ...details, got: describeJson(got) } },
  );
}

function integerIn(min: number, max: number): string {
  return `an integer from ${min} to ${max}`;
}

function numberIn(above: number, max: number): string {
  return `a number above ${above} and at most ${max}`;
}

function isInteger(value: Json, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}

function isNumber(value: Json, above: number, max: number): boolean {
  return typeof value === 'number' && value > above && value <= max;
}
