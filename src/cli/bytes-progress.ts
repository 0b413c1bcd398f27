import { createProgress, noteBeside } from './progress.ts';
import type { Progress } from './progress.ts';
import { note, printable } from './terminal.ts';

interface BytesProgress {
  readonly phase: string;
  readonly doneBytes: number;
  /** Infinity where nobody knows. */
  readonly totalBytes: number;
}

/** The progress of a download on the terminal. */
export interface BytesShown {
  readonly update: (progress: BytesProgress) => void;
  readonly note: (line: string) => void;
  readonly end: () => void;
}

/** Progress in the largest unit that still moves. */
export function showBytes(): BytesShown {
  let current: { readonly phase: string; readonly totalBytes: number; readonly bar: Progress } | null = null;
  return {
    update: ({ phase, doneBytes, totalBytes }) => {
      const [unit, size] = totalBytes >= 10_000_000 ? (['MB', 1e6] as const) : (['kB', 1e3] as const);
      if (current?.phase !== phase || current.totalBytes !== totalBytes) {
        current?.bar.end();
        current = { phase, totalBytes, bar: createProgress({ unit }) };
      }
      // Rounded up: the end is reached by the last byte alone, and then exactly.
      const total = Math.ceil(totalBytes / size);
      const done = doneBytes >= totalBytes ? total : Math.floor(doneBytes / size);
      current.bar.update(phase, done, total);
    },
    note: (line) => {
      if (current === null) note(`note: ${printable(line)}`);
      else noteBeside(current.bar, `note: ${printable(line)}`);
    },
    end: () => current?.bar.end(),
  };
}
