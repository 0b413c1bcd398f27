/** Learning rates by step, by the formulas of Hugging Face's schedules of the same names. */

export const schedules = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
] as const;
export type ScheduleName = (typeof schedules)[number];

export interface Schedule {
  readonly name: ScheduleName;
  /** The rate that the factor multiplies. */
  readonly learningRate: number;
  /** Steps in which the rate rises from 0; `constant` has none. */
  readonly warmupSteps: number;
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** After the warm-up the factor is never below this share of 1; default 0. */
  readonly minRatio?: number;
  /** Of `cosine_with_restarts`; default 1. */
  readonly cycles?: number;
  /** Of `polynomial`; defaults 1 and 1e-7. */
  readonly power?: number;
  readonly endRate?: number;
}

/**
 * The learning rate of a step, counted from 0. As in Hugging Face's trainer, the first step of a warm-up has rate 0 and
 * the last step of a decay is one step short of its end.
 */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { name, learningRate, warmupSteps, totalSteps } = schedule;
  if (name === 'constant') return learningRate;
  if (step < warmupSteps) return learningRate * (step / Math.max(1, warmupSteps));
  if (name === 'constant_with_warmup') return learningRate;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  const floor = schedule.minRatio ?? 0;
  return learningRate * (floor + (1 - floor) * decay(schedule, name, progress));
}

function decay(
  schedule: Schedule,
  name: Exclude<ScheduleName, 'constant' | 'constant_with_warmup'>,
  progress: number,
): number {
  switch (name) {
    case 'linear':
      return 1 - progress;
    case 'cosine':
      return 0.5 * (1 + Math.cos(Math.PI * progress));
    case 'cosine_with_restarts': {
      if (progress >= 1) return 0;
      const within = ((schedule.cycles ?? 1) * progress) % 1;
      return 0.5 * (1 + Math.cos(Math.PI * within));
    }
    case 'polynomial': {
      const { learningRate, endRate = 1e-7, power = 1 } = schedule;
      if (progress >= 1) return endRate / learningRate;
      return ((learningRate - endRate) * (1 - progress) ** power + endRate) / learningRate;
    }
    default:
      return name satisfies never;
  }
}
