/** HTML that is safe to put into a page: made by `html`, which escapes everything that is not. */
export class SafeHtml {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template may hold; null leaves nothing. */
export type HtmlPart = SafeHtml | string | number | null | readonly HtmlPart[];

/**
 * A template of HTML: the literal parts are ours and stay, the inserted ones are from outside and are escaped unless
 * they were made by this very function. Attribute values must be quoted in the literal parts.
 */
export function html(literals: TemplateStringsArray, ...parts: readonly HtmlPart[]): SafeHtml {
  return new SafeHtml(
    literals.map((literal, i) => literal + (i < parts.length ? toText(parts[i]!) : '')).join(''),
  );
}

function toText(part: HtmlPart): string {
  if (part === null) return '';
  if (part instanceof SafeHtml) return part.text;
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  return part.map(toText).join('');
}

/** Text for element content and quoted attributes; control characters, which HTML forbids, become U+FFFD. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"'`]/g, (character) => entities[character]!)
    .replace(/[^\P{Cc}\t\n\r]/gu, '\uFFFD');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** A number with `digits` decimals, a real minus sign, and a dash for what is not known. */
export function fixed(value: number | null, digits = 1): string {
  if (value === null) return '–';
  const text = value.toFixed(digits);
  // −0.0 is no number that a reader expects.
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** A strength as it was given, with its sign. */
export function signed(value: number): string {
  const text = String(Math.abs(value));
  return value === 0 ? '0' : value > 0 ? `+${text}` : `−${text}`;
}
