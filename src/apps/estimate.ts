import type { JudgeCost } from '../persona/judge.ts';

/** How fast a model runs. */
export interface Rate {
  /** Tokens of prompts a second. */
  readonly prompt: number;
  /** Seconds of a step of one token a row, and what every row adds. */
  readonly step: number;
  readonly row: number;
}

/** Where a rate comes from. A guess is of no measurement of this model. */
export type RateSource = 'given' | 'measured now' | 'measured before' | 'guess';

export interface FoundRate extends Rate {
  readonly source: RateSource;
  /** ISO date and time of the measurement; null for one that was given or guessed. */
  readonly date: string | null;
}

/** One step of a command, counted before it runs. */
export interface CountedStep {
  readonly name: string;
  /** Rows of the output: replies, or texts. */
  readonly rows: number;
  /** Tokens of all rows' prompts, or of the texts. */
  readonly promptTokens: number;
  /** Of them, those that are run where equal prompts share one run. */
  readonly runTokens: number;
  /** New tokens if every reply is as long as allowed. */
  readonly newTokens: number;
  /** Rows that are generated side by side. */
  readonly sideBySide: number;
  /** Tokens that a backward pass goes through, each at twice a forward pass's cost; for training. */
  readonly backwardTokens?: number;
}

export interface EstimatedStep extends CountedStep {
  /** Seconds at most; null without a rate. */
  readonly seconds: number | null;
}

/** What judging asks of others. */
export interface JudgeEstimate extends JudgeCost {
  readonly name: string;
  /** US dollars; null where the price is not known. */
  readonly dollars: number | null;
  /** Where the price comes from, such as `list price of 2025-06`; null without one. */
  readonly price: string | null;
}

/** What a command will take, at most, before it runs. */
export interface Estimate {
  readonly command: string;
  /** Null for a command that runs none. */
  readonly model: string | null;
  /** `fp32`, or a recipe such as `int8-block32`. */
  readonly precision: string | null;
  readonly steps: readonly EstimatedStep[];
  readonly totals: {
    readonly promptTokens: number;
    readonly newTokens: number;
    readonly seconds: number | null;
  };
  readonly rate: FoundRate | null;
  /** Bytes. */
  readonly memory: { readonly needed: number; readonly free: number } | null;
  /** Bytes by file; `free` is of the disk of the first of them, null where the system does not say. */
  readonly disk: {
    readonly files: readonly { readonly name: string; readonly bytes: number }[];
    readonly free: number | null;
  };
  readonly judge: JudgeEstimate | null;
  /** What else a person should know, in sentences. */
  readonly notes: readonly string[];
}

/** What an estimate is made of. */
export type EstimateParts = Omit<Estimate, 'steps' | 'totals'> & { readonly steps: readonly CountedStep[] };

/** The estimate of counted steps at a rate. */
export function assemble({ steps: counted, ...parts }: EstimateParts): Estimate {
  const { rate } = parts;
  const steps = counted.map((step): EstimatedStep => {
    return { ...step, seconds: rate === null ? null : secondsOf(step, rate) };
  });
  const total = (count: (step: EstimatedStep) => number): number =>
    steps.reduce((sum, step) => sum + count(step), 0);
  return {
    ...parts,
    steps,
    totals: {
      promptTokens: total((step) => step.promptTokens),
      newTokens: total((step) => step.newTokens),
      seconds: rate === null ? null : total((step) => step.seconds ?? 0),
    },
  };
}

/**
 * Seconds of a step: its prompts one after the other, and as many decode steps as it takes to give every row its
 * tokens, `sideBySide` rows at a time.
 */
export function secondsOf(step: CountedStep, rate: Rate): number {
  const { runTokens, newTokens, sideBySide, backwardTokens = 0 } = step;
  const decodeSteps = sideBySide === 0 ? 0 : newTokens / sideBySide;
  return (runTokens + 2 * backwardTokens) / rate.prompt + decodeSteps * (rate.step + rate.row * sideBySide);
}

/** What several runs of one model take, one after the other: the steps under their names, sums, and the largest memory. */
export function joinEstimates(named: readonly (readonly [name: string, Estimate])[]): Estimate {
  const all = named.map(([, estimate]) => estimate);
  const [first] = all as [Estimate, ...Estimate[]];
  const sum = (count: (judge: JudgeEstimate) => number): number =>
    all.reduce((total, { judge }) => total + (judge === null ? 0 : count(judge)), 0);
  const dollars = all.map(({ judge }) => judge?.dollars ?? null);
  return assemble({
    ...first,
    steps: named.flatMap(([name, { steps }]) =>
      steps.map((step) => ({ ...step, name: `${name}: ${step.name}` })),
    ),
    memory: all.reduce(
      (most, { memory }) => (memory !== null && memory.needed > (most?.needed ?? 0) ? memory : most),
      first.memory,
    ),
    disk: {
      files: named.map(([name, { disk }]) => ({
        name,
        bytes: disk.files.reduce((total, { bytes }) => total + bytes, 0),
      })),
      free: first.disk.free,
    },
    judge: first.judge && {
      ...first.judge,
      calls: sum(({ calls }) => calls),
      inputTokens: sum(({ inputTokens }) => inputTokens),
      outputTokens: sum(({ outputTokens }) => outputTokens),
      dollars: dollars.includes(null) ? null : sum((judge) => judge.dollars ?? 0),
    },
    notes: [...new Set(all.flatMap(({ notes }) => notes))],
  });
}

/** The same estimate with one step, and one line of the disk, for all of a group; a name belongs to the group that `groupOf` says. */
export function groupEstimate(estimate: Estimate, groupOf: (name: string) => string): Estimate {
  const { steps, disk } = estimate;
  const stepGroups = groupBy(steps, ({ name }) => groupOf(name));
  const fileGroups = groupBy(disk.files, ({ name }) => groupOf(name));
  return {
    ...estimate,
    steps: [...stepGroups].map(([name, group]) => ({ ...group.reduce(addSteps), name })),
    disk: {
      ...disk,
      files: [...fileGroups].map(([name, files]) => ({
        name,
        bytes: files.reduce((total, { bytes }) => total + bytes, 0),
      })),
    },
  };
}

function addSteps(a: EstimatedStep, b: EstimatedStep): EstimatedStep {
  return {
    name: a.name,
    rows: a.rows + b.rows,
    promptTokens: a.promptTokens + b.promptTokens,
    runTokens: a.runTokens + b.runTokens,
    newTokens: a.newTokens + b.newTokens,
    sideBySide: Math.max(a.sideBySide, b.sideBySide),
    backwardTokens: (a.backwardTokens ?? 0) + (b.backwardTokens ?? 0),
    seconds: a.seconds === null || b.seconds === null ? null : a.seconds + b.seconds,
  };
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups;
}
