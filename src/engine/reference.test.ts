import { describe, expect, it } from 'vitest';
import { relativeError } from '../../test/helpers/numbers.ts';
import type { Adapter } from '../model/adapter.ts';
import type { ModelConfig } from '../model/config.ts';
import { type BlockWeights, type ModelWeights, type Projection, projections } from '../model/weights.ts';
import { randomStream } from '../util/random.ts';
import { dot, rmsNorm, rotaryFrequencies, rotate } from './reference-block.ts';
import { holdsAt } from './reference-interventions.ts';
import { referenceForward, referenceGreedy, referenceNll, referencePool } from './reference.ts';
import type { Intervention, Positions } from './types.ts';

const config: ModelConfig = {
  modelType: 'llama',
  vocabSize: 11,
  width: 12,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 6,
  mlpWidth: 10,
  normEps: 1e-6,
  tiedEmbeddings: false,
  maxPositions: 64,
  rope: { theta: 100, scaling: { kind: 'default' } },
  windowRope: null,
  windows: [null, null],
  qkvBias: true,
  outputBias: true,
  mlpBias: true,
  headNorm: 'head',
  activation: 'silu',
  embeddingScale: 1,
  normOffset: 0,
  attentionScale: 1 / Math.sqrt(6),
  attentionSoftcap: null,
  logitSoftcap: null,
  bosTokenId: null,
  eosTokenIds: [],
  padTokenId: null,
};
const weights = randomWeights(config);
const ids = [3, 1, 4, 1, 5, 9, 2];
/** Float64 rounding only. */
const exact = 1e-12;
/** A change that no rounding explains. */
const visible = 1e-3;

/** Residual of layer `layer` at position `i`. */
function residual(tokens: Float64Array, i: number, layer: number): Float64Array {
  const start = (i * (config.layers + 1) + layer) * config.width;
  return tokens.slice(start, start + config.width);
}

function forward(interventions: Intervention[], responseStart = ids.length): Float64Array {
  return referenceForward(config, weights, { ids, responseStart, interventions }).tokens;
}

describe('the block', () => {
  it('divides by the root mean square', () => {
    expect(
      relativeError(rmsNorm(Float64Array.of(3, 4), [1, 2], 0), [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]),
    ).toBeLessThan(exact);
  });

  it('attends to nothing but itself where the window is 1, whatever the position', () => {
    const narrow = { ...config, windows: [1, 1] };
    const { tokens } = referenceForward(narrow, weights, { ids });
    const alone = referenceForward(config, weights, { ids: [ids[5]!] });
    expect(relativeError(residual(tokens, 5, 2), residual(alone.tokens, 0, 2))).toBeLessThan(exact);
  });

  it('sees exactly as many tokens as the window holds', () => {
    const windowed = { ...config, layers: 1, windows: [3] };
    const oneBlock = { ...weights, blocks: weights.blocks.slice(0, 1) };
    const last = (row: number[]): Float64Array =>
      referenceForward(windowed, oneBlock, { ids: row }).logits.slice(-11);
    expect(relativeError(last([7, 1, 2, 3]), last([8, 1, 2, 3]))).toBeLessThan(exact);
    expect(relativeError(last([1, 7, 2, 3]), last([1, 8, 2, 3]))).toBeGreaterThan(visible);
  });

  it('never looks ahead', () => {
    const { tokens } = referenceForward(config, weights, { ids });
    const shorter = referenceForward(config, weights, { ids: ids.slice(0, 4) });
    expect(relativeError(tokens.slice(0, shorter.tokens.length), shorter.tokens)).toBeLessThan(exact);
  });

  it('shares a key/value head among neighbouring query heads', () => {
    const ungrouped: ModelConfig = { ...config, kvHeads: config.heads };
    const rows = (matrix: Float64Array, width: number): Float64Array =>
      Float64Array.from({ length: matrix.length * 2 }, (_, i) => {
        const row = Math.floor(i / width);
        const head = Math.floor(Math.floor(row / config.headSize) / 2);
        return matrix[(head * config.headSize + (row % config.headSize)) * width + (i % width)]!;
      });
    const repeated = mapLinears(weights, (name, weight, bias) =>
      name === 'k_proj' || name === 'v_proj' ? [rows(weight, config.width), rows(bias, 1)] : [weight, bias],
    );
    const grouped = referenceForward(config, weights, { ids });
    expect(relativeError(referenceForward(ungrouped, repeated, { ids }).logits, grouped.logits)).toBeLessThan(
      exact,
    );
  });

  it('adds LoRA as a merged weight would', () => {
    const adapter = randomAdapter();
    let block = -1;
    const merged = mapLinears(weights, (name, weight, bias) => {
      if (name === 'q_proj') block++;
      const pair = adapter.blocks[block]?.[name];
      if (pair === undefined) return [weight, bias];
      const width = weight.length / bias.length;
      const sum = weight.map((value, i) => {
        const [row, column] = [Math.floor(i / width), i % width];
        return value + pair.b[row * 2]! * pair.a[column]! + pair.b[row * 2 + 1]! * pair.a[width + column]!;
      });
      return [sum, bias];
    });
    const tuned = referenceForward(config, weights, { ids }, { adapter });
    expect(relativeError(tuned.logits, referenceForward(config, merged, { ids }).logits)).toBeLessThan(exact);
    expect(relativeError(tuned.logits, referenceForward(config, weights, { ids }).logits)).toBeGreaterThan(
      visible,
    );
  });
});

describe('rotary embedding', () => {
  it('turns pairs half a head apart, so that products depend on the distance alone', () => {
    const [query, key] = [randomNumbers(6, 0, 'query'), randomNumbers(6, 0, 'key')];
    const score = (i: number, j: number): number =>
      dot(rotate(query, i, config.rope), rotate(key, j, config.rope));
    expect(score(9, 4)).toBeCloseTo(score(5, 0), 10);
    expect(Math.abs(score(9, 4) - score(9, 5))).toBeGreaterThan(visible);
    // The first pair turns by one radian a position.
    const turned = rotate(Float64Array.of(1, 0, 0, 0, 0, 0), 2, config.rope);
    expect(relativeError(turned, [Math.cos(2), 0, 0, Math.sin(2), 0, 0])).toBeLessThan(exact);
  });
});

describe('rotary frequencies', () => {
  it('fall from 1 by a power of theta', () => {
    expect(
      relativeError(rotaryFrequencies(4, { theta: 100, scaling: { kind: 'default' } }), [1, 0.1]),
    ).toBeLessThan(exact);
  });

  it('are divided by the factor of linear scaling', () => {
    expect(
      relativeError(
        rotaryFrequencies(4, { theta: 100, scaling: { kind: 'linear', factor: 4 } }),
        [0.25, 0.025],
      ),
    ).toBeLessThan(exact);
  });

  it('of llama3 keep short wavelengths, divide long ones and blend between', () => {
    const scaling = {
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 64,
    } as const;
    // Frequencies 1, 0.2, 0.04, 0.008: 10.2, 2.04, 0.41 and 0.08 turns in 64 positions.
    const blend = ((64 * 0.2) / (2 * Math.PI) - 1) / 3;
    const expected = [1, 0.2 * blend + (0.2 / 8) * (1 - blend), 0.04 / 8, 0.008 / 8];
    expect(relativeError(rotaryFrequencies(8, { theta: 625, scaling }), expected)).toBeLessThan(exact);
  });
});

describe('interventions', () => {
  const u = unit([3, 4]);
  const v = unit([1, 1, 1]);
  const plain = forward([]);
  const after = (interventions: Intervention[]): Float64Array => residual(forward(interventions), 2, 1);
  const before = residual(plain, 2, 1);
  const along = (h: Float64Array, direction: ArrayLike<number>): number =>
    h.reduce((sum, value, i) => sum + value * direction[i]!, 0);

  it('add a multiple of the vector to one layer and leave earlier layers alone', () => {
    const steered = forward([{ layer: 2, vector: u.map((x) => 5 * x), coef: 0.5 }]);
    expect(relativeError(residual(steered, 3, 1), residual(plain, 3, 1))).toBeLessThan(exact);
    expect(
      relativeError(
        residual(steered, 3, 2),
        residual(plain, 3, 2).map((h, i) => h + 2.5 * u[i]!),
      ),
    ).toBeLessThan(exact);
  });

  it('clamp the projection from below, from above, and to a point', () => {
    const p = along(before, u);
    expect(along(after([{ layer: 1, vector: u, min: p + 2 }]), u)).toBeCloseTo(p + 2, 10);
    expect(along(after([{ layer: 1, vector: u, max: p - 2 }]), u)).toBeCloseTo(p - 2, 10);
    expect(along(after([{ layer: 1, vector: u, min: 7, max: 7 }]), u)).toBeCloseTo(7, 10);
    expect(relativeError(after([{ layer: 1, vector: u, min: p - 1, max: p + 1 }]), before)).toBeLessThan(
      exact,
    );
  });

  it('act in the listed order', () => {
    const add: Intervention = { layer: 1, vector: v.map((x) => 3 * x), coef: 1 };
    const ablate: Intervention = { layer: 1, vector: u, ablate: true };
    expect(along(after([add, ablate]), u)).toBeCloseTo(0, 10);
    expect(along(after([ablate, add]), u)).toBeCloseTo(3 * along(v, u), 10);
  });

  it('project out the span of neighbouring ablations, in any order, dependent ones dropped', () => {
    const list = [u, v, u.map((x, i) => x + v[i]!)].map(
      (vector): Intervention => ({ layer: 1, vector, ablate: true }),
    );
    const cleaned = after(list);
    expect(along(cleaned, u)).toBeCloseTo(0, 10);
    expect(along(cleaned, v)).toBeCloseTo(0, 10);
    expect(relativeError(after(list.toReversed()), cleaned)).toBeLessThan(exact);
  });

  it('do not join ablations of different positions', () => {
    const first: Intervention = { layer: 1, vector: u, ablate: true, positions: 'prompt' };
    const second: Intervention = { layer: 1, vector: v, ablate: true };
    expect(along(after([first, second]), v)).toBeCloseTo(0, 10);
    expect(Math.abs(along(after([first, second]), u))).toBeGreaterThan(1e-3);
  });

  it.each<[Positions, number[]]>([
    ['all', [0, 1, 2, 3, 4, 5, 6]],
    ['prompt', [0, 1, 2]],
    ['response', [2, 3, 4, 5, 6]],
    ['boundary', [2, 5]],
  ])('at %s touch the positions %j of a prompt of 3', (positions, touched) => {
    const ends = (id: number): boolean => id === 9 || id === 4;
    expect(ids.map((_, i) => i).filter((i) => holdsAt(positions, i, ids, 3, ends))).toEqual(touched);
  });
});

describe('what is read off', () => {
  const row = { ids, responseStart: 3 };
  const { tokens, logits } = referenceForward(config, weights, row);

  it('pools the positions that a pooling names', () => {
    const size = (config.layers + 1) * config.width;
    const mean = (positions: number[]): Float64Array =>
      Float64Array.from({ length: size }, (_, j) =>
        positions.reduce((sum, i) => sum + tokens[i * size + j]! / positions.length, 0),
      );
    expect(
      relativeError(referencePool(config, tokens, row, 'response_mean'), mean([3, 4, 5, 6])),
    ).toBeLessThan(exact);
    expect(relativeError(referencePool(config, tokens, row, 'prompt_mean'), mean([0, 1, 2]))).toBeLessThan(
      exact,
    );
    expect(relativeError(referencePool(config, tokens, row, 'prompt_last'), mean([2]))).toBeLessThan(exact);
    const boundary = referencePool(config, tokens, row, 'boundary_mean', (id) => id === 9);
    expect(relativeError(boundary, mean([2, 5]))).toBeLessThan(exact);
  });

  it('pools zeros where no position holds', () => {
    expect(referencePool(config, tokens, { ids }, 'response_mean').every((value) => value === 0)).toBe(true);
  });

  it('scores response tokens by what comes before them', () => {
    const nll = referenceNll(config, logits, row);
    const before = logits.slice(4 * 11, 5 * 11).map(Math.exp);
    expect(nll[5]).toBeCloseTo(-Math.log(before[9]! / before.reduce((sum, x) => sum + x)), 10);
    expect(Array.from(nll.slice(0, 3))).toEqual([0, 0, 0]);
    expect(referenceNll(config, logits, { ids, responseStart: 0 })[0]).toBe(0);
  });

  it('continues greedily with the argmax of its own forward', () => {
    const generated = referenceGreedy(config, weights, { ids: ids.slice(0, 3) }, 5);
    const text = referenceForward(config, weights, { ids: [...ids.slice(0, 3), ...generated.ids] });
    const best = [2, 3, 4, 5, 6].map((i) => {
      const at = text.logits.slice(i * 11, (i + 1) * 11);
      return at.indexOf(Math.max(...at));
    });
    expect(generated.ids).toEqual(best);
    expect(relativeError(generated.logits, text.logits.slice(2 * 11, 7 * 11))).toBeLessThan(exact);
  });
});

/** A vector of the model's width with these first numbers, scaled to length 1. */
function unit(numbers: number[]): Float64Array {
  const length = Math.hypot(...numbers);
  return Float64Array.from({ length: config.width }, (_, i) => (numbers[i] ?? 0) / length);
}

function randomNumbers(length: number, center: number, ...name: (string | number)[]): Float64Array {
  const stream = randomStream('reference test', ...name);
  return Float64Array.from({ length }, () => center + 0.4 * stream.normal());
}

function sizeOf(name: Projection): [out: number, input: number] {
  const { width, mlpWidth, heads, kvHeads, headSize } = config;
  if (name === 'q_proj') return [heads * headSize, width];
  if (name === 'k_proj' || name === 'v_proj') return [kvHeads * headSize, width];
  if (name === 'o_proj') return [width, heads * headSize];
  return name === 'down_proj' ? [width, mlpWidth] : [mlpWidth, width];
}

function randomWeights(shape: ModelConfig): ModelWeights<Float64Array> {
  const block = (b: number): BlockWeights<Float64Array> => ({
    projections: Object.fromEntries(
      projections.map((name) => {
        const [out, input] = sizeOf(name);
        return [
          name,
          { weight: randomNumbers(out * input, 0, b, name), bias: randomNumbers(out, 0, b, name, 'bias') },
        ];
      }),
    ) as BlockWeights<Float64Array>['projections'],
    attentionNorm: randomNumbers(shape.width, 1, b, 'attentionNorm'),
    mlpNorm: randomNumbers(shape.width, 1, b, 'mlpNorm'),
    attentionOutNorm: null,
    mlpOutNorm: null,
    queryNorm: randomNumbers(shape.headSize, 1, b, 'queryNorm'),
    keyNorm: randomNumbers(shape.headSize, 1, b, 'keyNorm'),
  });
  return {
    embedding: randomNumbers(shape.vocabSize * shape.width, 0, 'embedding'),
    head: randomNumbers(shape.vocabSize * shape.width, 0, 'head'),
    finalNorm: randomNumbers(shape.width, 1, 'finalNorm'),
    blocks: Array.from({ length: shape.layers }, (_, b) => block(b)),
  };
}

function randomAdapter(): Adapter {
  const pair = (b: number, name: Projection): { rank: number; a: Float32Array; b: Float32Array } => {
    const [out, input] = sizeOf(name);
    return {
      rank: 2,
      a: Float32Array.from(randomNumbers(2 * input, 0, b, name, 'a')),
      b: Float32Array.from(randomNumbers(2 * out, 0, b, name, 'b')),
    };
  };
  // The second block adapts three projections only, as adapters with few target modules do.
  return {
    name: 'random',
    sha256: '',
    blocks: [
      Object.fromEntries(projections.map((name) => [name, pair(0, name)])),
      { q_proj: pair(1, 'q_proj'), v_proj: pair(1, 'v_proj'), down_proj: pair(1, 'down_proj') },
    ],
  };
}

/** The same model with every product's weight and bias replaced; blocks come in order, q_proj first. */
function mapLinears(
  model: ModelWeights<Float64Array>,
  change: (name: Projection, weight: Float64Array, bias: Float64Array) => [Float64Array, Float64Array],
): ModelWeights<Float64Array> {
  return {
    ...model,
    blocks: model.blocks.map((block) => ({
      ...block,
      projections: Object.fromEntries(
        projections.map((name) => {
          const { weight, bias } = block.projections[name];
          const [newWeight, newBias] = change(name, weight, bias!);
          return [name, { weight: newWeight, bias: newBias }];
        }),
      ) as BlockWeights<Float64Array>['projections'],
    })),
  };
}
