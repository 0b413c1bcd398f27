import type { ModelConfig, Rope, RopeScaling } from './config.ts';
import type { Family } from './families/family.ts';
import { unsupported } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';

/** Rotary kinds that the engine computes. */
const kinds = ['default', 'linear', 'llama3'] as const satisfies readonly RopeScaling['kind'][];

/** Base of the frequencies where neither config.json nor the family names one. */
const DEFAULT_THETA = 10_000;
/** Bounds far beyond published models (theta 1e9, factor 160), so that frequencies stay finite numbers. */
const limits = { theta: 1e12, factor: 1e6, positions: 134_217_728 } as const;

/**
 * The rotary embeddings of a config.json: `rope_parameters` (transformers 5, which holds theta too, and for gemma3 one set
 * by layer type) or `rope_theta` with `rope_scaling`, whose kind is called `rope_type`, or `type` in the oldest files.
 *
 * @throws ModelError for a kind other than default, linear and llama3, and for heads that are turned only in part.
 */
export function parseRopes(
  fields: JsonFields,
  { defaults, gemma }: Family,
  maxPositions: number,
): Pick<ModelConfig, 'rope' | 'windowRope'> {
  const theta = defaults.ropeTheta ?? DEFAULT_THETA;
  const windowTheta = gemma?.windowRopeTheta ?? null;
  const both = fields.optionalObject('rope_parameters');
  if (windowTheta === null) return { rope: parseRope(fields, both, theta, maxPositions), windowRope: null };
  const byType = both?.raw('full_attention') === undefined ? undefined : both;
  return {
    rope: parseRope(fields, byType?.optionalObject('full_attention') ?? both, theta, maxPositions),
    // Stretching holds for the blocks without a window alone.
    windowRope: {
      theta:
        byType?.optionalObject('sliding_attention')?.optionalNumber('rope_theta', 0, limits.theta) ??
        fields.optionalNumber('rope_local_base_freq', 0, limits.theta) ??
        windowTheta,
      scaling: { kind: 'default' },
    },
  };
}

function parseRope(
  fields: JsonFields,
  parameters: JsonFields | undefined,
  defaultTheta: number,
  maxPositions: number,
): Rope {
  const rope = parameters ?? fields.optionalObject('rope_scaling');
  for (const source of [fields, rope]) {
    const part = source?.optionalNumber('partial_rotary_factor', 0, 1) ?? 1;
    if (source !== undefined && part !== 1) throw unsupported(source, 'partial_rotary_factor', '1', part);
  }
  const theta = rope?.optionalNumber('rope_theta', 0, limits.theta);
  return {
    theta: theta ?? fields.optionalNumber('rope_theta', 0, limits.theta) ?? defaultTheta,
    scaling: rope === undefined ? { kind: 'default' } : parseScaling(rope, maxPositions),
  };
}

function parseScaling(rope: JsonFields, maxPositions: number): RopeScaling {
  const key = rope.raw('rope_type') === undefined ? 'type' : 'rope_type';
  const name = rope.optionalString(key) ?? 'default';
  const kind = kinds.find((known) => known === name);
  if (kind === undefined) throw unsupported(rope, key, `a rotary kind of ${kinds.join(', ')}`, name);
  const factor = (field: string): number => rope.number(field, 0, limits.factor);
  switch (kind) {
    case 'default':
      // Settings by layer type (`{"full_attention": {…}}`) have no kind at this level.
      if (rope.raw('full_attention') !== undefined || rope.raw('sliding_attention') !== undefined) {
        throw unsupported(rope, 'full_attention', 'one rotary embedding for all layers', 'one by layer type');
      }
      return { kind };
    case 'linear':
      return { kind, factor: factor('factor') };
    case 'llama3':
      return parseLlama3(rope, maxPositions);
    default:
      return kind satisfies never;
  }
}

function parseLlama3(rope: JsonFields, maxPositions: number): RopeScaling {
  const lowFreqFactor = rope.number('low_freq_factor', 0, limits.factor);
  const highFreqFactor = rope.number('high_freq_factor', 0, limits.factor);
  // Between the two the scaling is a ramp, whose slope divides by their difference.
  if (highFreqFactor <= lowFreqFactor) {
    throw rope.wrong('high_freq_factor', `above low_freq_factor (${lowFreqFactor})`);
  }
  return {
    kind: 'llama3',
    factor: rope.number('factor', 0, limits.factor),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions:
      rope.optionalInteger('original_max_position_embeddings', 1, limits.positions) ?? maxPositions,
  };
}
