import { join } from 'node:path';
import { z } from 'zod';
import { type Interval, bootstrapInterval } from '../../persona/bootstrap.ts';
import { areaUnderCurve, pearson } from '../../persona/statistics.ts';
import { readJsonl } from '../../store/jsonl.ts';
import { screenFiles } from '../../store/screen-folder.ts';
import type { SampleMode } from './score.ts';

/** A data set beside what training on it did. */
export interface SetPoint {
  readonly family: string;
  readonly x: number;
  /** Null where nothing was scored. */
  readonly y: number | null;
}

/** How well a number that is known before training foretells one that is known after it, over data sets. */
export interface Foretold {
  /** Pearson's r; null where one side is constant. */
  readonly r: number | null;
  /** 95 % bootstrap interval over the data sets. */
  readonly interval: Interval | null;
  /** r without the trait's own data sets. */
  readonly others: number | null;
}

/** How well one way of screening foretells the score. */
export interface ModeForetold extends Foretold {
  readonly mode: SampleMode;
}

/** How well the projection alone tells severe rows of a family from its normal ones. */
export interface Separation {
  readonly family: string;
  /** Null where one side has no row. */
  readonly auroc: number | null;
  readonly severe: number;
  readonly normal: number;
}

/** Projections of every screened row, by data set and trait. */
export type Projections = ReadonlyMap<string, Readonly<Record<string, readonly number[]>>>;

const rowSchema = z.looseObject({ source: z.string() });

/** Reads the projections of a screening's rows. */
export async function readProjections(folder: string, traits: readonly string[]): Promise<Projections> {
  const found = new Map<string, Record<string, number[]>>();
  for await (const { value } of readJsonl(join(folder, screenFiles.scored), rowSchema)) {
    const lists = found.get(value.source) ?? Object.fromEntries(traits.map((trait) => [trait, []]));
    for (const trait of traits) lists[trait]!.push(Number(value[`${trait}_projection`]));
    found.set(value.source, lists);
  }
  return found;
}

/** The correlation over data sets, with all of them and without those of the trait itself. */
export function foretold(points: readonly SetPoint[], trait: string): Foretold {
  const scored = points.filter((point): point is SetPoint & { y: number } => point.y !== null);
  const r = (list: readonly { readonly x: number; readonly y: number }[]): number | null =>
    pearson(
      list.map(({ x }) => x),
      list.map(({ y }) => y),
    );
  return {
    r: r(scored),
    interval: bootstrapInterval(
      scored.length,
      (units) => r(Array.from(units, (unit) => scored[unit]!)) ?? NaN,
      { name: ['screened-sets', trait], resamples: 1000 },
    ),
    others: r(scored.filter(({ family }) => family !== trait)),
  };
}

/** Severe rows against normal ones of the same family, by the projection on one trait's vector. */
export function separations(
  sets: readonly { readonly family: string; readonly variant: string; readonly file: string }[],
  projections: Projections,
  trait: string,
): Separation[] {
  return [...new Set(sets.map(({ family }) => family))].flatMap((family) => {
    const of = (variant: string): readonly number[] => {
      const set = sets.find((one) => one.family === family && one.variant === variant);
      return set === undefined ? [] : (projections.get(set.file)?.[trait] ?? []);
    };
    const [severe, normal] = [of('misaligned_2'), of('normal')];
    if (severe.length === 0 || normal.length === 0) return [];
    return [{ family, auroc: areaUnderCurve(severe, normal), severe: severe.length, normal: normal.length }];
  });
}
