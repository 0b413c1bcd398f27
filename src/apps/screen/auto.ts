import type { Watched } from '../../persona/projection/watch.ts';
import type { AutoFound, AutoTrait, ScreenRow } from '../../store/screen-schema.ts';
import { pearson } from '../../persona/statistics.ts';
import { type Random, randomStream } from '../../util/random.ts';
import { type RankedRow, collectDifferences, differencesOf } from './differences.ts';
import { type FlagRule, quantilesOf, thresholdOf } from './flags.ts';

/** The control: one sample in twenty, between these. */
const [controlShare, leastControl, mostControl] = [0.05, 50, 1000];
/** Of the control's estimates so many lie within the band. */
const bandShare = 0.9;

/** full ≈ intercept + slope · prompt-last. */
interface Line {
  readonly slope: number;
  readonly intercept: number;
  readonly r: number | null;
  readonly band: number;
}

/** Which samples mode `auto` runs in mode `full`, and what it says of the others. */
export interface AutoPlan {
  readonly lines: readonly Line[];
  /** `[vectors]`: where the flags' threshold lies among the estimates. */
  readonly thresholds: readonly number[];
  /** Indices in rising order; none is in both. */
  readonly control: readonly number[];
  readonly near: readonly number[];
  readonly count: number;
}

export interface AutoStages {
  readonly watched: readonly Watched[];
  readonly rule: FlagRule;
  readonly seed: number;
  /** All samples by mode `prompt-last`, as often as asked. */
  readonly cheap: () => AsyncIterable<ScreenRow>;
  /** Runs the samples at these indices in mode `full`, once; gives their rows as often as asked. */
  readonly runFull: (
    kind: 'control' | 'near',
    indices: readonly number[],
  ) => Promise<() => AsyncIterable<ScreenRow>>;
}

/** All samples of mode `auto` in their order, and how they came about. */
export interface AutoScored {
  readonly plan: AutoPlan;
  readonly rows: () => AsyncGenerator<RankedRow>;
}

/**
 * Scores in mode `full` a random control and, by what that says, whatever lies near a threshold: estimates are a line
 * through the control's differences by both modes, and near is as near as nine tenths of the control's estimates lie to
 * their full difference.
 */
export async function runAuto({ watched, rule, seed, cheap, runFull }: AutoStages): Promise<AutoScored> {
  const shape = { vectors: watched.length, judged: false };
  const { values, count } = await collectDifferences(ranked(cheap()), shape, () => false);
  const control = controlIndices(count, seed);
  const controlRows = await runFull('control', control);
  const full = await differencesBy(controlRows());
  const lines = values.map((list, v) =>
    fitLine(
      control.map((i) => list[i]!),
      full.map((one) => one[v]!),
    ),
  );
  const estimates = values.map((list, v) => list.map((value) => estimateOf(lines[v]!, value)));
  for (const [c, i] of control.entries()) for (const [v, list] of estimates.entries()) list[i] = full[c]![v]!;
  const thresholds = estimates.map((list, v) =>
    thresholdOf(rule, watched[v]!, list.length === 0 ? [] : quantilesOf(list.slice().sort())),
  );
  const inControl = new Set(control);
  const near: number[] = [];
  for (let i = 0; i < count; i++)
    if (!inControl.has(i) && estimates.some((list, v) => isNear(lines[v]!, thresholds[v]!, list[i]!)))
      near.push(i);
  const nearRows = await runFull('near', near);
  const plan = { lines, thresholds, control, near, count };
  return { plan, rows: () => allRows(plan, cheap(), controlRows(), nearRows()) };
}

/** What a manifest says of mode `auto`, when the thresholds are known. */
export async function describeAuto(
  { plan, rows }: AutoScored,
  watched: readonly Watched[],
  thresholds: readonly number[],
  cheap: AsyncIterable<ScreenRow>,
): Promise<AutoFound> {
  const { control, near, count, lines } = plan;
  const full = new Map<number, readonly number[]>();
  const inControl = new Set(control);
  let index = 0;
  for await (const { difference } of rows()) {
    if (inControl.has(index)) full.set(index, difference);
    index++;
  }
  index = 0;
  const estimated = new Map<number, number[]>();
  for await (const row of cheap) {
    if (inControl.has(index))
      estimated.set(
        index,
        differencesOf(row).map((value, v) => estimateOf(lines[v]!, value)),
      );
    index++;
  }
  const traits = watched.map(({ name }, v): AutoTrait => {
    const line = lines[v]!;
    const pairs = control.map((i) => ({ full: full.get(i)![v]!, estimate: estimated.get(i)![v]! }));
    const flags = pairs.map((pair) => {
      const wasNear = isNear(line, plan.thresholds[v]!, pair.estimate);
      const flagged = (value: number): boolean => value >= thresholds[v]!;
      const byEstimate = flagged(pair.estimate);
      return { full: flagged(pair.full), byEstimate, auto: wasNear ? flagged(pair.full) : byEstimate };
    });
    const share = (holds: (one: (typeof flags)[number]) => boolean): number =>
      flags.filter(holds).length / flags.length;
    return {
      name,
      ...line,
      agreement: share(({ full: by, auto }) => by === auto),
      estimate_agreement: share(({ full: by, byEstimate }) => by === byEstimate),
      control_flagged: flags.filter(({ full: by }) => by).length,
      control_missed: flags.filter(({ full: by, auto }) => by && !auto).length,
    };
  });
  const ran = control.length + near.length;
  return { control: control.length, near: near.length, saved: 1 - ran / count, traits };
}

function estimateOf({ slope, intercept }: Line, value: number): number {
  return intercept + slope * value;
}

function isNear({ band }: Line, threshold: number, estimate: number): boolean {
  return Math.abs(estimate - threshold) <= band;
}

/** Least squares; a flat line where the values do not vary. */
export function fitLine(x: readonly number[], y: readonly number[]): Line {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  const squares = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  const products = x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  const slope = squares === 0 ? 0 : products / squares;
  const intercept = my - slope * mx;
  const errors = y.map((value, i) => Math.abs(value - intercept - slope * x[i]!)).sort((a, b) => a - b);
  return { slope, intercept, r: pearson(x, y), band: errors[Math.ceil(bandShare * errors.length) - 1]! };
}

/** Samples of the control among so many. */
export function controlSize(count: number): number {
  return Math.min(count, mostControl, Math.max(leastControl, Math.ceil(controlShare * count)));
}

function controlIndices(count: number, seed: number): number[] {
  return randomIndices(count, controlSize(count), randomStream('screen', 'control', seed));
}

/** So many indices, drawn without replacement, in rising order. */
export function randomIndices(length: number, count: number, random: Random): number[] {
  const drawn = new Set<number>();
  while (drawn.size < Math.min(count, length)) drawn.add(Math.floor(random.uniform() * length));
  return [...drawn].sort((a, b) => a - b);
}

/** The rows at indices in rising order. */
export async function* rowsAt(
  rows: AsyncIterable<ScreenRow>,
  indices: readonly number[],
): AsyncGenerator<ScreenRow> {
  let [index, next] = [0, 0];
  if (indices.length === 0) return;
  for await (const row of rows) {
    if (index++ !== indices[next]) continue;
    yield row;
    if (++next === indices.length) return;
  }
}

/** Rows ranked by what they say themselves. */
export async function* ranked(rows: AsyncIterable<ScreenRow>): AsyncGenerator<RankedRow> {
  for await (const row of rows) {
    const by = row.base_reply !== null ? 'full' : row.reference === null ? 'raw' : 'prompt-last';
    yield { row, difference: differencesOf(row), by, scores: null };
  }
}

async function differencesBy(rows: AsyncIterable<ScreenRow>): Promise<number[][]> {
  const found: number[][] = [];
  for await (const row of rows) found.push(differencesOf(row));
  return found;
}

async function* allRows(
  { lines, control, near }: AutoPlan,
  cheap: AsyncIterable<ScreenRow>,
  controlRows: AsyncIterable<ScreenRow>,
  nearRows: AsyncIterable<ScreenRow>,
): AsyncGenerator<RankedRow> {
  const full = [
    { indices: new Set(control), rows: controlRows[Symbol.asyncIterator]() },
    { indices: new Set(near), rows: nearRows[Symbol.asyncIterator]() },
  ];
  let index = 0;
  for await (const row of cheap) {
    const source = full.find(({ indices }) => indices.has(index));
    index++;
    if (source === undefined) {
      const difference = differencesOf(row).map((value, v) => estimateOf(lines[v]!, value));
      yield { row, difference, by: 'prompt-last', scores: null };
    } else {
      const { value } = (await source.rows.next()) as { value: ScreenRow };
      yield { row: value, difference: differencesOf(value), by: 'full', scores: null };
    }
  }
  // The last row of each was taken; this closes its file.
  for (const { rows } of full) await rows.return?.();
}
