/** The two streams of the command line: results on standard output, everything else on standard error. */

import pc from 'picocolors';

/** Prints a result on standard output, as it is. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** Colours for one of the streams: plain text unless a terminal shows it and nobody objects. */
function coloursFor(stream: { readonly isTTY?: boolean }): ReturnType<typeof pc.createColors> {
  return pc.createColors(stream.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb');
}
export const resultColours: ReturnType<typeof coloursFor> = coloursFor(process.stdout);
export const noteColours: ReturnType<typeof coloursFor> = coloursFor(process.stderr);

/** Prints a result as one line of JSON on standard output. */
export function printJson(value: unknown): void {
  print(`${JSON.stringify(value)}\n`);
}

/** Prints a line about the work on standard error. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A reader that goes away (`| head`) ends the program quietly; other faults of the streams are real. */
export function guardStreams(): void {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.listenerCount('error') > 0) continue;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

/** Text from outside for a terminal: control characters, which could move the cursor or hide text, are replaced. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, '\u{FFFD}');
}
