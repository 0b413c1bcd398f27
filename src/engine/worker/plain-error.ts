import * as errors from '../../errors.ts';
import type { PlainError } from './protocol.ts';

type ErrorClass = new (message: string, options?: errors.PersonaErrorOptions) => errors.PersonaError;

const classes: Readonly<Record<string, ErrorClass>> = {
  UsageError: errors.UsageError,
  ParseError: errors.ParseError,
  ModelError: errors.ModelError,
  DataError: errors.DataError,
  GraphError: errors.GraphError,
  EngineError: errors.EngineError,
  StoreError: errors.StoreError,
  AbortError: errors.AbortError,
};

/** An error as data that crosses threads. */
export function toPlainError(error: unknown): PlainError {
  if (error instanceof Error) {
    const details = error instanceof errors.PersonaError ? error.details : {};
    return { name: error.name, message: error.message, details, stack: error.stack };
  }
  return { name: 'Error', message: String(error), details: {}, stack: undefined };
}

/** The error again, of its own class where that is one of this package's, with the stack of where it was thrown. */
export function fromPlainError(plain: PlainError): Error {
  const known = classes[plain.name];
  const error =
    known === undefined ? new Error(plain.message) : new known(plain.message, { details: plain.details });
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}
