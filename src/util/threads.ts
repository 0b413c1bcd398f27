import { availableParallelism } from 'node:os';

/** The cores that this process may use, unless PERSONA_THREADS names a number, as a scheduler that shares the machine does. */
export function threadCount(environment: Readonly<Record<string, string | undefined>> = process.env): number {
  const named = Number(environment['PERSONA_THREADS']);
  return Number.isInteger(named) && named > 0 ? named : availableParallelism();
}
