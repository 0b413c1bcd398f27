import type { Rope } from '../model/config.ts';
import { rotaryFrequencies } from '../model/rope-frequencies.ts';

/** Cosines and sines of every angle up to `context` positions, `[context, headSize / 2]` each. */
export function rotaryTables(
  rope: Rope,
  headSize: number,
  context: number,
): { cos: Float32Array; sin: Float32Array } {
  // Hugging Face holds frequencies and angles in float32; long contexts agree only when both round alike.
  const frequencies = Float32Array.from(rotaryFrequencies(rope, headSize));
  const half = frequencies.length;
  const cos = new Float32Array(context * half);
  const sin = new Float32Array(context * half);
  for (let position = 0; position < context; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * (frequencies[i] as number));
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
