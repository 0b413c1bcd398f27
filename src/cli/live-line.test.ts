import { describe, expect, it } from 'vitest';
import { createLiveLine } from './live-line.ts';

/** What a live line sends to move the cursor, to erase and to colour, or a letter. */
const sequences = new RegExp(String.raw`\u001B\[\d*[AGJm]|[^]`, 'gu');

/** A terminal of some rows and columns that understands what a live line sends. */
function terminal(columns: number, rows: number) {
  let screen = Array.from({ length: rows }, () => '');
  let [row, column] = [0, 0];
  const put = (letter: string): void => {
    const line = screen[row]!.padEnd(column);
    screen[row] = line.slice(0, column) + letter + line.slice(column + 1);
    column++;
  };
  const write = (text: string): void => {
    const pieces = text.match(sequences) ?? [];
    for (const piece of pieces) {
      if (piece === '\n') {
        column = 0;
        if (row === rows - 1) screen = [...screen.slice(1), ''];
        else row++;
      } else if (piece === '\u001B[J') {
        screen = screen.map((line, i) => (i < row ? line : i === row ? line.slice(0, column) : ''));
      } else if (piece.endsWith('A') && piece.length > 1) row -= Number(piece.slice(2, -1));
      else if (piece.endsWith('G') && piece.length > 1) column = Number(piece.slice(2, -1)) - 1;
      else if (piece.length === 1) put(piece);
    }
  };
  return { isTTY: true, columns, write, lines: () => screen.map((line) => line.trimEnd()) };
}

describe('a live line', () => {
  it('stays below text that streams, over the end of lines and of the screen, and goes away', () => {
    const screen = terminal(24, 3);
    const live = createLiveLine(screen);
    for (const [i, piece] of ['Once ', 'upon a time ', 'there was ', 'a girl ', 'named Lily.'].entries()) {
      live.write(piece);
      live.show(`bars ${i}`);
    }
    expect(screen.lines()).toEqual(
      ['Once upon a time there ', 'was a girl named Lily.', 'bars 4'].map((s) => s.trimEnd()),
    );
    live.end();
    expect(screen.lines()).toEqual(['Once upon a time there', 'was a girl named Lily.', '']);
  });

  it('is cut at the width of the terminal, its colours aside', () => {
    const screen = terminal(20, 2);
    const live = createLiveLine(screen);
    live.show('\u001B[2mabcdefghijklmnopqrstuvwxyz\u001B[22m');
    expect(screen.lines()[1]).toBe('abcdefghijklmnopqrs');
  });

  it('is nothing where there is no terminal', () => {
    const written: string[] = [];
    const live = createLiveLine({ write: (text) => written.push(text) });
    live.write('a');
    live.show('bars');
    live.end();
    expect(written).toEqual(['a']);
  });
});
