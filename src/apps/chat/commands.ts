import { UsageError } from '../../errors.ts';
import { nearestName } from '../../util/nearest.ts';
import type { SteeringEntry, Threshold } from '../../persona/steering/spec.ts';

/** A line of a chat: something to say to the model, or something to do. */
export type ChatLine =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'steer'; readonly entry: SteeringEntry }
  | { readonly kind: 'steering' }
  | { readonly kind: 'system'; readonly text: string | null }
  | { readonly kind: 'save'; readonly file: string }
  | { readonly kind: 'off' | 'undo' | 'clear' | 'compare' | 'help' | 'quit' };

/** What can be typed, for `/help`. */
export const chatHelp: readonly (readonly [string, string])[] = [
  ['/steer NAME X [UNIT]', 'add X times a vector; UNIT is coef, norm or fraction; 0 takes it away'],
  ['/cap NAME X', 'keep the projection on a vector at X or below; X may be a percentile, such as 75%'],
  ['/steer', 'show what steers'],
  ['/off', 'steer by nothing'],
  ['/system TEXT', 'set the system prompt; without a text, none'],
  ['/compare', 'the last reply again, steered and unsteered side by side'],
  ['/undo', 'take back the last question and its reply'],
  ['/clear', 'begin anew'],
  ['/save FILE', 'write the conversation as JSON'],
  ['/quit', 'end'],
];
const plain = ['off', 'undo', 'clear', 'compare', 'help', 'quit'] as const;
const known = ['steer', 'cap', 'system', 'save', ...plain];
const units = ['coef', 'norm', 'fraction'] as const;

/** Reads a line. @throws UsageError for a command that is none or lacks something, saying what. */
export function parseChatLine(line: string): ChatLine {
  const text = line.trim();
  // Two slashes begin a text with one.
  if (!text.startsWith('/')) return { kind: 'say', text };
  if (text.startsWith('//')) return { kind: 'say', text: text.slice(1) };
  const [name = '', ...words] = text.slice(1).split(/\s+/);
  const rest = text.slice(1 + name.length).trim();
  const simple = plain.find((one) => one === (name === 'exit' ? 'quit' : name));
  if (simple !== undefined) return { kind: simple };
  if (name === 'steer')
    return words.length === 0 ? { kind: 'steering' } : { kind: 'steer', entry: addition(words) };
  if (name === 'cap') return { kind: 'steer', entry: cap(words) };
  if (name === 'system') return { kind: 'system', text: rest === '' ? null : rest };
  if (name === 'save') {
    if (rest === '') throw new UsageError('Expected /save FILE, got no file.');
    return { kind: 'save', file: rest };
  }
  const nearest = nearestName(name, known);
  const hint = nearest === null ? '/help lists them' : `did you mean /${nearest}?`;
  throw new UsageError(`There is no command /${name.slice(0, 64)}; ${hint}`);
}

function addition([vector, amount, unit = 'coef', ...more]: readonly string[]): SteeringEntry {
  const known = units.find((one) => one === unit);
  const strength = Number(amount);
  if (
    vector === undefined ||
    amount === undefined ||
    !Number.isFinite(strength) ||
    known === undefined ||
    more.length > 0
  )
    throw new UsageError(
      'Expected /steer NAME X, such as /steer evil -1.5, or with a unit: /steer evil 0.2 fraction.',
    );
  if (known === 'norm') return { vector, norm: strength };
  return known === 'fraction' ? { vector, fraction: strength } : { vector, coef: strength };
}

function cap([vector, limit, ...more]: readonly string[]): SteeringEntry {
  const digits = limit?.replace(/%$/, '') ?? '';
  const value = digits === '' ? NaN : Number(digits);
  if (vector === undefined || limit === undefined || !Number.isFinite(value) || more.length > 0)
    throw new UsageError('Expected /cap NAME X, such as /cap evil 2 or /cap evil 75%.');
  const threshold: Threshold = limit.endsWith('%') ? { percentile: value } : value;
  return { vector, cap: threshold };
}
