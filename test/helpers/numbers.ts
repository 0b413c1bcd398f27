/**
 * Largest difference as a share of the largest expected number: 0 where both are all zeros, Infinity where a
 * number is missing or NaN.
 */
export function relativeError(actual: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (actual?.length !== expected.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const here = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(here)) return Infinity;
    difference = Math.max(difference, here);
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return difference === 0 ? 0 : difference / largest;
}

/**
 * The first place where two arrays differ in any bit, in words; null where they are the same. NaN is reported
 * even where both hold it, since a result that holds NaN is wrong.
 */
export function bitDifference(
  actual: Float32Array | undefined,
  expected: Float32Array | undefined,
): string | null {
  if (actual === undefined || expected === undefined) return 'one of them is missing';
  if (actual.length !== expected.length) return `${actual.length} numbers instead of ${expected.length}`;
  const differs = (i: number): boolean => !Object.is(actual[i], expected[i]) || Number.isNaN(actual[i]);
  for (let i = 0; i < expected.length; i++) {
    if (differs(i)) return `index ${i}: ${actual[i]} instead of ${expected[i]}`;
  }
  return null;
}
