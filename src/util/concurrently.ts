/**
 * Runs `work` on every item, at most `limit` at a time. The first failure aborts the signal that the others were given;
 * once all of them have ended, it is thrown.
 */
export async function forEachConcurrently<T>(
  items: readonly T[],
  limit: number,
  work: (item: T, signal: AbortSignal) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const controller = new AbortController();
  const either = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  let failure: { readonly error: unknown } | null = null;
  const queue = items.values();
  const runOne = async (): Promise<void> => {
    // The iterator is shared: each runner takes the next item that no other has taken.
    for (const item of queue) {
      if (failure !== null) return;
      try {
        await work(item, either);
      } catch (error) {
        failure ??= { error };
        controller.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, runOne));
  rethrow(failure);
}

/** A function of its own, because the compiler does not see that the runners assign the failure. */
function rethrow(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}
