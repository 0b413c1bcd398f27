import { Argument, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { dtypes } from '../engine/model.ts';
import { SHIPPED_MODEL, shippedModelFolder } from '../store/shipped-model.ts';

/** `[model]`: the one that ships where none is named. */
export const modelArgument = new Argument(
  '[model]',
  'folder, GGUF file, or owner/name in the Hugging Face cache',
).default(shippedModelFolder(), `${SHIPPED_MODEL}, which ships`);

/** `--adapter`: what a model is run with beside its own weights. */
export const adapterOption = new Option(
  '--adapter <dir>',
  "LoRA adapter of the model in PEFT's layout: a folder, or owner/name in the Hugging Face cache",
);

/** `--dtype`: how the weights are held. */
export const dtypeOption = new Option(
  '--dtype <name>',
  'weights in 32-bit floats, or in 8- or 4-bit blocks, quantised once into a cache (default: fp32)',
).choices(dtypes);

/** `--block`: weights that share a scale. */
export const blockOption = new Option(
  '--block <n>',
  'weights that share a scale: 32 or 128 (default: 32)',
).argParser((text): 32 | 128 => {
  if (text === '32') return 32;
  if (text === '128') return 128;
  throw new InvalidArgumentError('Expected 32 or 128.');
});

/** `--seed`: what it decides. */
export function seedOption(decided: 'files' | 'results'): Option {
  const text = `equal seeds and options give equal ${decided} (default: 0)`;
  return new Option('--seed <n>', text).argParser(wholeNumber(0));
}

/** Collects a flag that may be given several times. */
export function collected(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** Parses `7`: a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number${rangeOf(min, max)}.`);
  };
}

/** Parses `0.7`: a number from `min` to `max`. */
export function decimal(min: number, max: number = Infinity): (text: string) => number {
  return (text) => {
    const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    if (Number.isFinite(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a number${rangeOf(min, max)}.`);
  };
}

/** Parses `30d`: a length of time in milliseconds. */
export function duration(text: string): number {
  const found = /^(\d{1,6})([hdw])$/.exec(text);
  const hours = { h: 1, d: 24, w: 168 }[found?.[2] ?? ''];
  if (found === null || hours === undefined || Number(found[1]) === 0)
    throw new InvalidArgumentError('Expected a length of time such as 12h, 30d or 8w.');
  return Number(found[1]) * hours * 3_600_000;
}

function rangeOf(min: number, max: number): string {
  if (min === -Number.MAX_VALUE) return '';
  return max >= Number.MAX_SAFE_INTEGER ? ` of ${min} or more` : ` from ${min} to ${max}`;
}

/** Parses `1,2,3`: token ids. */
export function tokenIds(text: string): number[] {
  const parse = wholeNumber(0);
  return text.split(',').map((part) => {
    try {
      return parse(part.trim());
    } catch {
      throw new InvalidArgumentError(
        `Expected token ids such as 1,2,3, got ${JSON.stringify(part)} among them.`,
      );
    }
  });
}

/** Parses `1,2,3`: layers. */
export function wholeNumbers(text: string): number[] {
  return text.split(',').map((part) => wholeNumber(0)(part.trim()));
}

/** Parses `-2,0.5,2`: strengths. */
export function numbers(text: string): number[] {
  return text.split(',').map((part) => decimal(-Number.MAX_VALUE)(part.trim()));
}

/** Parses `a,b`: what stands between the commas. */
export function commaSeparated(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

/** Parses `a,b`: names out of `known`, each once. */
export function namesOf<const Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) => {
    const names = commaSeparated(text);
    const isKnown = (name: string): name is Name => (known as readonly string[]).includes(name);
    const stranger = names.find((name) => !isKnown(name));
    if (stranger !== undefined) {
      throw new InvalidArgumentError(
        `Expected names out of ${known.join(', ')}, got ${JSON.stringify(stranger)}.`,
      );
    }
    if (new Set(names).size < names.length) throw new InvalidArgumentError('Expected every name once.');
    return names.filter(isKnown);
  };
}
