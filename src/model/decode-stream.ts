/** Turns ids that arrive one by one into text; bytes that do not make a whole character yet are held back. */
export interface StreamDecoder {
  /** The text that this token completes, possibly none. */
  push(id: number): string;
  /** What was still held back. */
  end(): string;
}

/** What decoders write for bytes that are no whole character. */
const replacement = '\ufffd';

/** The texts together are `decode` of all ids for which `keep` is true. */
export function streamDecoder(
  decode: (ids: readonly number[]) => string,
  keep: (id: number) => boolean,
): StreamDecoder {
  // Decoders treat the first token in a special way, so the last token whose text is out stays in the window.
  let window: number[] = [];
  let written = '';
  return {
    push(id) {
      if (!keep(id)) return '';
      window.push(id);
      const text = decode(window);
      const whole = text.endsWith(replacement) ? text.slice(0, -replacement.length) : text;
      const fresh = whole.slice(written.length);
      written += fresh;
      if (whole === text) {
        window = [id];
        written = decode(window);
      }
      return fresh;
    },
    end() {
      const rest = decode(window).slice(written.length);
      window = [];
      written = '';
      return rest;
    },
  };
}
