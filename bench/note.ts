/** A line of progress, on standard error: standard output is the report. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
