/** Text that streams on a terminal with a line below it that changes; `show` draws the line, `end` takes it away. */
export interface LiveLine {
  write(text: string): void;
  show(line: string): void;
  end(): void;
}

export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Erases from the cursor to the end of the screen. */
const eraseBelow = '\u001B[J';
const wide =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u;
const marks = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const escapes = new RegExp(String.raw`^\u001B\[[\d;]*m`);

/** Elsewhere than on a terminal only the text is written, since a line cannot be taken back. */
export function createLiveLine(stream: TerminalStream): LiveLine {
  if (stream.isTTY !== true) {
    return { write: (text) => void stream.write(text), show: () => undefined, end: () => undefined };
  }
  const width = (): number => Math.max(20, stream.columns ?? 80);
  let column = 0;
  let shown = false;
  const erase = (): void => {
    if (shown) stream.write(eraseBelow);
    shown = false;
  };
  return {
    write(text) {
      erase();
      const wrapped = wrapAt(text, column, width());
      column = wrapped.column;
      stream.write(wrapped.text);
    },
    show(line) {
      erase();
      // The line feed makes room where the text is on the last row; the cursor goes back to where the text goes on.
      const back = `\u001B[1A\u001B[${column + 1}G`;
      stream.write(`\n${cutAt(line.trimEnd(), width() - 1)}${back}`);
      shown = true;
    },
    end: erase,
  };
}

/** Breaks lines itself, so that the column is known: a terminal keeps a full line's break to itself until the next letter. */
function wrapAt(
  text: string,
  start: number,
  width: number,
): { readonly text: string; readonly column: number } {
  let [result, column] = ['', start];
  for (const letter of text) {
    if (letter === '\n') {
      result += letter;
      column = 0;
      continue;
    }
    const cells = cellsOf(letter);
    if (column + cells > width - 1) {
      result += '\n';
      column = 0;
    }
    result += letter;
    column += cells;
  }
  return { text: result, column };
}

/** A line's first `width` cells, with its colours, which take none. */
function cutAt(line: string, width: number): string {
  let [result, cells, rest] = ['', 0, line];
  while (rest !== '') {
    const colour = escapes.exec(rest)?.[0];
    const piece = colour ?? String.fromCodePoint(rest.codePointAt(0)!);
    cells += colour === undefined ? cellsOf(piece) : 0;
    if (cells <= width) result += piece;
    rest = rest.slice(piece.length);
  }
  return result;
}

function cellsOf(letter: string): number {
  if (marks.test(letter)) return 0;
  return wide.test(letter) ? 2 : 1;
}
