/**
 * Text that arrives in pieces, watched for strings that end it. A stop string may begin in one piece and end in
 * another, so an ending that could still become one is held back.
 */
export class StopWatch {
  private readonly stops: readonly string[];
  private held = '';
  private released = '';
  private ended = false;

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.stops = stops;
  }

  /** Everything let through so far: the text up to the stop string. */
  get text(): string {
    return this.released;
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.ended;
  }

  /** What of `piece` and of the text held back can be let through now, and whether a stop string has come. */
  push(piece: string): { readonly text: string; readonly stopped: boolean } {
    const text = this.held + piece;
    const at = firstOf(text, this.stops);
    const keep = at ?? text.length - this.undecided(text);
    this.held = at === null ? text.slice(keep) : '';
    const fresh = text.slice(0, keep);
    this.released += fresh;
    this.ended = at !== null;
    return { text: fresh, stopped: this.ended };
  }

  /** Lets the text that was held back through, since no more comes. */
  end(): string {
    const rest = this.held;
    this.held = '';
    this.released += rest;
    return rest;
  }

  /** Length of the longest ending of `text` with which a stop string begins. */
  private undecided(text: string): number {
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const ending = text.slice(text.length - length);
      if (this.stops.some((stop) => stop.startsWith(ending))) return length;
    }
    return 0;
  }
}

/** Where the earliest of `strings` begins in `text`; null where none does. */
function firstOf(text: string, strings: readonly string[]): number | null {
  const found = strings.map((string) => text.indexOf(string)).filter((at) => at >= 0);
  return found.length === 0 ? null : Math.min(...found);
}
