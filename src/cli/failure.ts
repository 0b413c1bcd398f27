import { CommanderError } from '@commander-js/extra-typings';
import { AbortError, PersonaError } from '../errors.ts';
import { FoundAlert, IncompleteRun } from './alert.ts';
import type { Stop } from './stop.ts';
import { note, noteColours } from './terminal.ts';

export interface FailureOptions {
  /** Also print the stack. */
  readonly debug: boolean;
  readonly stop: Stop;
}

const errorLabel = noteColours.red('error:');

/** Bad input: something that the user can put right. */
const badInput = 2;
/** Something was found that the user asked to be told of. */
const alertFound = 3;
/** Parts of what was asked for gave no result. */
const partsMissing = 4;
/** A fault of this program. */
const internalFault = 1;

/** Says in one sentence on standard error why a command ended, and returns the exit code. */
export function reportFailure(error: unknown, { debug, stop }: FailureOptions): number {
  if (error instanceof CommanderError) return reportCommander(error);
  if (error instanceof FoundAlert) {
    note(oneLine(error.message));
    return alertFound;
  }
  if (error instanceof IncompleteRun) {
    note(oneLine(error.message));
    return partsMissing;
  }
  if (debug) note(stackOf(error));
  if (error instanceof AbortError) {
    note(oneLine(error.message));
    return stop.exitCode();
  }
  if (error instanceof PersonaError) {
    note(`${errorLabel} ${oneLine(error.message)}`);
    return badInput;
  }
  const system = systemSentence(error);
  if (system !== null) {
    note(`${errorLabel} ${system}`);
    return badInput;
  }
  const hint = debug ? '' : '; run the command again with --debug to see where';
  note(`${errorLabel} persona itself failed (${oneLine(messageOf(error))})${hint}`);
  return internalFault;
}

/** Help and version are no failures; the rest are wrong flags and arguments. */
function reportCommander(error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  // The help that a bare `persona` prints needs no sentence below it.
  if (error.code !== 'commander.help')
    note(`${errorLabel} ${oneLine(error.message.replace(/^error: /, ''))}`);
  return badInput;
}

/** An error of the operating system that no layer below has put into words. */
function systemSentence(error: unknown): string | null {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return null;
  const path = 'path' in error && typeof error.path === 'string' ? ` "${error.path}"` : '';
  const reason = typeof error.code === 'string' ? systemReasons[error.code] : undefined;
  return reason === undefined ? oneLine(error.message) : `${reason}${path}`;
}

const systemReasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder:',
  EACCES: 'permission denied:',
  EISDIR: 'expected a file, got a folder:',
  ENOTDIR: 'expected a folder, got a file in the path of',
  ENOSPC: 'no space left on the device; free some and run the command again:',
};

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** Messages of other programs bring line breaks; control characters would move the cursor. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
