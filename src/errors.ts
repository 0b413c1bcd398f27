/**
 * Every error that this package throws on purpose.
 *
 * A message is one sentence that says what was expected, what came, and what to do; the fields carry the
 * same facts for programs. The command line prints the message alone and exits with code 2.
 */

/** Facts of an error for programs, such as `{ file, line }`; values are plain JSON. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export interface PersonaErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/** Base of all errors thrown on purpose; `code` is stable across versions, the message is not. */
export abstract class PersonaError extends Error {
  abstract readonly code: string;
  readonly details: ErrorDetails;

  constructor(message: string, options: PersonaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.details = options.details ?? {};
  }
}

/** A caller asked for something that cannot be: a wrong flag, an impossible option, an id out of range. */
export class UsageError extends PersonaError {
  readonly code = 'usage';
}

/** A file from outside is malformed: truncated, lying about itself, or not of the format it claims. */
export class ParseError extends PersonaError {
  readonly code = 'parse';
}

/** A checkpoint is well-formed but cannot be run: unknown family, missing tensor, mismatched tokenizer. */
export class ModelError extends PersonaError {
  readonly code = 'model';
}

/** A row of user data cannot be used; `details.line` is its 1-based line where it came from a file. */
export class DataError extends PersonaError {
  readonly code = 'data';
}

/** A graph breaks a shape or type rule; thrown when the graph is built, never when it runs. */
export class GraphError extends PersonaError {
  readonly code = 'graph';
}

/** The runtime refused a session or a step. */
export class EngineError extends PersonaError {
  readonly code = 'engine';
}

/** A run folder cannot be read, continued or written (another recipe in the folder, no space left). */
export class StoreError extends PersonaError {
  readonly code = 'store';
}

/** Work stopped because its caller aborted it; everything finished before is kept. */
export class AbortError extends PersonaError {
  readonly code = 'aborted';
}
