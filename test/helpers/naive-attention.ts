/** Causal grouped-query attention over whole rows, one number at a time in Float64: an oracle for tests. */

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

export interface AttentionSettings {
  /** Positions that a token sees, itself included. */
  readonly window?: number;
  readonly softcap?: number;
  readonly scale?: number;
  /** Base of the rotary angles; absent: no rotation. */
  readonly rotaryBase?: number;
}

/** One row of a batch: query `[position, heads, headSize]`, key and value `[position, kvHeads, headSize]`. */
export interface AttentionRow {
  readonly query: ArrayLike<number>;
  readonly key: ArrayLike<number>;
  readonly value: ArrayLike<number>;
}

/** The mixed values `[position, heads, headSize]` of a row with `positions` positions. */
export function attendNaively(
  row: AttentionRow,
  positions: number,
  shape: AttentionShape,
  settings: AttentionSettings = {},
): Float64Array {
  const { heads, kvHeads, headSize } = shape;
  const { window = positions, softcap, scale = 1 / Math.sqrt(headSize), rotaryBase } = settings;
  const out = new Float64Array(positions * heads * headSize);
  const headAt = (data: ArrayLike<number>, width: number, position: number, head: number): number[] =>
    rotate(vectorAt(data, (position * width + head) * headSize, headSize), position, rotaryBase);
  for (let head = 0; head < heads; head++) {
    const group = Math.floor((head * kvHeads) / heads);
    for (let position = 0; position < positions; position++) {
      const query = headAt(row.query, heads, position, head);
      const first = Math.max(0, position - window + 1);
      const scores: number[] = [];
      for (let seen = first; seen <= position; seen++) {
        const score = scale * dot(query, headAt(row.key, kvHeads, seen, group));
        scores.push(softcap === undefined ? score : softcap * Math.tanh(score / softcap));
      }
      const weights = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < headSize; i++) {
        const mixed = weights.reduce(
          (sum, weight, seen) => sum + weight * row.value[((first + seen) * kvHeads + group) * headSize + i]!,
          0,
        );
        out[(position * heads + head) * headSize + i] = mixed / total;
      }
    }
  }
  return out;
}

/** cos and sin `[positions, headSize / 2]` of the rotary angles. */
export function rotaryTable(
  positions: number,
  headSize: number,
  base: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = headSize / 2;
  const angles = Float64Array.from(
    { length: positions * half },
    (_, at) => Math.floor(at / half) * rotaryFrequency(at % half, headSize, base),
  );
  return { cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) };
}

function rotaryFrequency(index: number, headSize: number, base: number): number {
  return base ** ((-2 * index) / headSize);
}

function rotate(vector: readonly number[], position: number, base: number | undefined): number[] {
  if (base === undefined) return [...vector];
  const half = vector.length / 2;
  return vector.map((x, i) => {
    const angle = position * rotaryFrequency(i % half, vector.length, base);
    const partner = i < half ? -vector[i + half]! : vector[i - half]!;
    return x * Math.cos(angle) + partner * Math.sin(angle);
  });
}

function vectorAt(data: ArrayLike<number>, offset: number, length: number): number[] {
  return Array.from({ length }, (_, i) => data[offset + i]!);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0);
}
