import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { strftime } from './strftime.ts';
import { withTimeLimit } from './time-limit.ts';
import { DataError, ModelError, ParseError, UsageError } from '../errors.ts';

/**
 * Templates are programs from outside. Rendering a conversation takes under a millisecond, so that one that runs for
 * seconds never ends or was built to waste time.
 */
const RENDER_MILLISECONDS = 3_000;
/** Longest template: the longest in use has 25,000 characters. */
const MAX_TEMPLATE_CHARACTERS = 1_000_000;
/** Longest text that any expression of a template may make, the rendering included: more than any context holds. */
const MAX_TEXT_CHARACTERS = 16_000_000;
/** Longest list that any expression may make: conversations have thousands of turns at most. */
const MAX_LIST_ITEMS = 200_000;
/**
 * Characters that all expressions of one rendering may make together, a list item counted as `ITEM_CHARACTERS`. Bounds
 * memory within the time limit; 1,000 turns of 1,000 characters take a few million.
 */
const MAX_TOTAL_CHARACTERS = 256_000_000;
const ITEM_CHARACTERS = 16;

/** What a template may be given: plain JSON values. */
export type TemplateValue =
  | null
  | boolean
  | number
  | string
  | readonly TemplateValue[]
  | { readonly [name: string]: TemplateValue };
export type TemplateVariables = Readonly<Record<string, TemplateValue>>;

/** Names that the language itself defines. */
const reservedNames: ReadonlySet<string> = new Set(
  'true false none True False None namespace raise_exception range strftime_now'.split(' '),
);

export interface JinjaTemplate {
  /**
   * Renders under limits of time and size; `now` is what `strftime_now` tells, in UTC.
   *
   * @throws DataError with the template's own words where it calls `raise_exception`; ModelError where it fails, never
   *   ends or grows without bound; UsageError for a variable with a name of the language.
   */
  render(variables: TemplateVariables, now: Date): string;
}

/**
 * Reads a template; `origin` names it in messages, and `milliseconds` are what one rendering may take.
 *
 * @throws ParseError where it is too long or no Jinja.
 */
export function jinjaTemplate(
  source: string,
  origin: string,
  milliseconds: number = RENDER_MILLISECONDS,
): JinjaTemplate {
  const program = parseTemplate(source, origin);
  return {
    render: (variables, now) => {
      for (const name of Object.keys(variables)) if (reservedNames.has(name)) throw reservedName(name);
      try {
        return withTimeLimit(
          milliseconds,
          () => run(program, variables, now, new Budget(origin)),
          () => new Budget(origin).exceeded(`more than ${milliseconds / 1000} s`),
        );
      } catch (error) {
        throw renderFailure(error, origin);
      }
    },
  };
}

function parseTemplate(source: string, origin: string): Program {
  if (source.length > MAX_TEMPLATE_CHARACTERS)
    throw invalid(origin, `has ${source.length} characters, more than ${MAX_TEMPLATE_CHARACTERS}`);
  try {
    return withTimeLimit(
      RENDER_MILLISECONDS,
      // Jinja reads every line end as a line feed.
      () =>
        parse(
          tokenize(source.replace(/\r\n?/g, '\n'), { lstrip_blocks: true, trim_blocks: true }),
        ) as Program,
      () => invalid(origin, `takes more than ${RENDER_MILLISECONDS / 1000} s to read`),
    );
  } catch (error) {
    if (error instanceof ParseError) throw error;
    throw invalid(origin, `is no Jinja that can be read (${messageOf(error)})`, error);
  }
}

function run(program: Program, variables: TemplateVariables, now: Date, budget: Budget): string {
  const scope: Scope = new Environment();
  const globals = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range: (...bounds: number[]) => range(bounds, budget),
    strftime_now: (format: unknown) => strftime(now, String(format)),
    raise_exception: (message: unknown) => {
      throw new RaisedByTemplate(String(message));
    },
  };
  for (const [name, value] of Object.entries({ ...globals, ...variables })) scope.set(name, value);
  const rendered: unknown = new LimitedInterpreter(scope, budget).run(program).value;
  if (typeof rendered !== 'string') throw new TypeError('it renders to something that is no text');
  return rendered;
}

// The library's declarations name their neighbours without file extensions, which leaves its types unknown here.
interface Node {
  readonly type: string;
}
type Program = Node;
interface Value {
  readonly value: unknown;
}
interface Scope {
  set(name: string, value: unknown): unknown;
}
interface Evaluator {
  run(program: Program): Value;
  /** Filters such as `first` give nothing at all for an empty list. */
  evaluate(node: Node | undefined, scope: Scope): Value | undefined;
}
const BaseInterpreter = Interpreter as unknown as new (scope: Scope) => Evaluator;

/** Kinds of nodes that look a value up and make none. */
const lookups: ReadonlySet<string> = new Set(['Identifier', 'MemberExpression', 'StringLiteral']);

/** The library's interpreter, with every value that it makes charged to a budget. */
class LimitedInterpreter extends BaseInterpreter {
  readonly #budget: Budget;

  constructor(scope: Scope, budget: Budget) {
    super(scope);
    this.#budget = budget;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value | undefined {
    const made = super.evaluate(node, scope);
    if (!lookups.has(node?.type ?? '')) this.#budget.charge(made?.value);
    return made;
  }
}

class Budget {
  readonly #origin: string;
  #left = MAX_TOTAL_CHARACTERS;

  constructor(origin: string) {
    this.#origin = origin;
  }

  charge(value: unknown): void {
    if (typeof value === 'string') {
      if (value.length > MAX_TEXT_CHARACTERS) throw this.exceeded(`a text of ${value.length} characters`);
      this.#left -= value.length;
    } else if (Array.isArray(value)) {
      this.items(value.length);
    }
    if (this.#left < 0) throw this.exceeded(`texts of ${MAX_TOTAL_CHARACTERS} characters`);
  }

  items(count: number): void {
    if (count > MAX_LIST_ITEMS) throw this.exceeded(`a list of ${count} items`);
    this.#left -= ITEM_CHARACTERS * count;
  }

  exceeded(amount: string): ModelError {
    return new ModelError(
      `The chat template of "${this.#origin}" takes ${amount} to render; it never ends or is hostile: correct it or use another model.`,
      { details: { file: this.#origin } },
    );
  }
}

/** Python's `range` with the length checked before the list is made. */
function range(bounds: readonly number[], budget: Budget): number[] {
  const [start, stop, step = 1] = bounds.length === 1 ? [0, bounds[0]] : bounds;
  if (
    start === undefined ||
    stop === undefined ||
    ![start, stop, step].every(Number.isSafeInteger) ||
    step === 0
  )
    throw new TypeError('range() takes one to three integers and a step that is not 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  budget.items(length);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** Carries the words of `raise_exception` through the interpreter. */
class RaisedByTemplate extends Error {}

function renderFailure(error: unknown, origin: string): Error {
  if (error instanceof ModelError) return error;
  if (error instanceof RaisedByTemplate) {
    return new DataError(`The chat template of "${origin}" refuses these messages: ${error.message}`, {
      details: { file: origin, reason: error.message },
    });
  }
  return new ModelError(
    `The chat template of "${origin}" fails on these messages (${messageOf(error)}); correct it or use another model.`,
    { details: { file: origin }, cause: error },
  );
}

function invalid(origin: string, problem: string, cause?: unknown): ParseError {
  return new ParseError(`The chat template of "${origin}" ${problem}; download the file again.`, {
    details: { file: origin },
    cause,
  });
}

function reservedName(name: string): UsageError {
  return new UsageError(
    `A template variable cannot be named "${name}": the language defines it; rename it.`,
    {
      details: { name },
    },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
