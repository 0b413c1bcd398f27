import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ParseError } from '../errors.ts';
import { describeIssues } from '../store/schema.ts';

/** US dollars for a million tokens, and where that is known from. */
export interface JudgePrice {
  readonly input: number;
  readonly output: number;
  readonly origin: string;
}

const tableSchema = z.record(
  z.string().min(1),
  z.strictObject({ input: z.number().nonnegative(), output: z.number().nonnegative() }),
);

/** Prices by the beginning of a judge's name, such as `openai:gpt-4.1-mini`. */
export type PriceTable = Readonly<Record<string, { readonly input: number; readonly output: number }>>;

/** Providers' list prices when this was written; they change, so an estimate says their date. */
const listPrices: PriceTable = {
  'openai:gpt-4.1-mini': { input: 0.4, output: 1.6 },
  'openai:gpt-4.1-nano': { input: 0.1, output: 0.4 },
  'openai:gpt-4.1': { input: 2, output: 8 },
  'openai:gpt-4o-mini': { input: 0.15, output: 0.6 },
  'openai:gpt-4o': { input: 2.5, output: 10 },
  'anthropic:claude-haiku-4-5': { input: 1, output: 5 },
  'anthropic:claude-sonnet-4': { input: 3, output: 15 },
};
const listPricesOf = '2026-05';

/** Reads a table such as `{"openai:gpt-4.1-mini": {"input": 0.4, "output": 1.6}}`, US dollars a million tokens. */
export async function readPrices(file: string): Promise<PriceTable> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ParseError(
      `Expected "${file}" to be JSON, got something else (${error.message}); correct it.`,
      {
        details: { file },
      },
    );
  }
  const parsed = tableSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ParseError(
    `Expected "${file}" to give "input" and "output" by judge, in US dollars for a million tokens, got ${describeIssues(parsed.error)}; correct it.`,
    { details: { file } },
  );
}

/** The price of a judge: the user's, else the list's; the longest name that the judge's begins with. Null where unknown. */
export function priceOf(judge: string, own: PriceTable = {}): JudgePrice | null {
  const found = longestPrefix(judge, own);
  if (found !== null) return { ...found, origin: 'your prices' };
  const listed = longestPrefix(judge, listPrices);
  return listed === null ? null : { ...listed, origin: `list price of ${listPricesOf}` };
}

function longestPrefix(judge: string, table: PriceTable): PriceTable[string] | null {
  const names = Object.keys(table).filter((name) => judge.startsWith(name));
  const longest = names.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? null : table[longest]!;
}
