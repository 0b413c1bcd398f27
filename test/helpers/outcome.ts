/** What an action gave, or the name of the class of error that it threw. */
export interface Outcome<T> {
  readonly value: T | null;
  readonly error: string | null;
}

/** Runs a parser on input that may be refused, so that a property can say which errors are allowed. */
export async function outcome<T>(action: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await action(), error: null };
  } catch (error) {
    return { value: null, error: error instanceof Error ? error.constructor.name : typeof error };
  }
}
