import { z } from 'zod';

const reading = z.object({
  projection: z.number(),
  z: z.number().nullable(),
  percentile: z.number().nullable(),
});
/** A projection, and where it lies among ordinary ones; null without a baseline. */
export type Reading = z.infer<typeof reading>;

const watchedTurn = z.object({
  before: reading,
  mean: reading.nullable(),
  /** The drift sums after this turn; null without a baseline. */
  drift: z.object({ up: z.number(), down: z.number(), alert: z.enum(['up', 'down']).nullable() }).nullable(),
});
const turn = z.object({
  turn: z.int().min(1),
  message: z.int().min(0),
  /** Which token `before` was read at. */
  position: z.enum(['prompt_last', 'think_end']),
  tokens: z.int().min(0),
  vectors: z.record(z.string(), watchedTurn),
});
const alert = z.object({
  vector: z.string(),
  turn: z.int(),
  direction: z.enum(['up', 'down']),
  drift: z.number(),
  z: z.number().nullable(),
  percentile: z.number().nullable(),
});
export type MonitorAlert = z.infer<typeof alert>;

/** One conversation of a monitoring run. */
export const monitorRowSchema = z.object({
  line: z.int().min(1),
  id: z.string(),
  tokens: z.int(),
  turns: z.array(turn),
  /** The first turn at which each vector's drift crossed the limit. */
  alerts: z.array(alert),
});
export type MonitorRow = z.infer<typeof monitorRowSchema>;

/** First line of an unfinished run: what decides its rows, so that another run's are not continued. */
export const monitorHeadSchema = z.object({ run: z.string() });
