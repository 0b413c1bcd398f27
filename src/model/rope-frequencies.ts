import type { Rope } from './config.ts';

/**
 * Angular frequencies of the rotary embedding, `[headSize / 2]`, in radians a position: θ^(−2i/headSize),
 * rescaled as the checkpoint asks. `llama3` (Llama 3.1 and later) keeps short wavelengths, divides long ones
 * by `factor`, and blends between the two.
 */
export function rotaryFrequencies({ theta, scaling }: Rope, headSize: number): Float64Array {
  const half = headSize / 2;
  return Float64Array.from({ length: half }, (_, i) => {
    const frequency = theta ** (-i / half);
    if (scaling.kind === 'default') return frequency;
    if (scaling.kind === 'linear') return frequency / scaling.factor;
    const wavelength = (2 * Math.PI) / frequency;
    const longest = scaling.originalMaxPositions / scaling.lowFreqFactor;
    const shortest = scaling.originalMaxPositions / scaling.highFreqFactor;
    if (wavelength < shortest) return frequency;
    if (wavelength > longest) return frequency / scaling.factor;
    const blend =
      (scaling.originalMaxPositions / wavelength - scaling.lowFreqFactor) /
      (scaling.highFreqFactor - scaling.lowFreqFactor);
    return (1 - blend) * (frequency / scaling.factor) + blend * frequency;
  });
}
