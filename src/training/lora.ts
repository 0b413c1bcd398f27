import { adapterTensorName, readAdapter, type StoredPair } from '../model/adapter.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { partName, projectionRows, projectionShapes } from '../model/locate-weights.ts';
import { type Projection, projections } from '../model/weights.ts';
import { randomStream } from '../util/random.ts';
import { ModelError, UsageError } from '../errors.ts';
import { saveAdapter } from './save-adapter.ts';
import type { Parameter, Trainable } from './trainable.ts';
import type { LoraMethod } from './types.ts';

/** The two matrices beside one product. */
interface Pair {
  readonly block: number;
  readonly projection: Projection;
  readonly a: Parameter;
  readonly b: Parameter;
}

/**
 * LoRA: y = x Wᵀ + scale · (x Aᵀ) Bᵀ with A `[rank, in]` and B `[out, rank]`. A new A is uniform in ±1/√in, a new B
 * is zero, as PEFT starts them; each A has a random stream of its own, named by the seed and its tensor.
 *
 * @throws UsageError for options that cannot be; ModelError where `initAdapter` is not of this method, naming the
 *   difference.
 */
export async function loraTrainable(
  checkpoint: Checkpoint,
  method: LoraMethod,
  seed: number,
): Promise<Trainable> {
  checkMethod(checkpoint, method);
  const scale = loraScale(method);
  const start = method.initAdapter === undefined ? null : await readStart(checkpoint, method);
  const pairs = adaptedModules(checkpoint, method).map(({ block, projection }): Pair => {
    const [out, input] = projectionShapes(checkpoint.config)[projection];
    const stored = start?.get(`${block}.${projection}`);
    const name = (part: 'A' | 'B'): string => parameterName(checkpoint, block, projection, part);
    const parameter = (part: 'A' | 'B', shape: number[], data: Float32Array): Parameter => ({
      name: name(part),
      shape,
      data,
      decays: true,
    });
    const a = stored?.a ?? uniform(method.rank * input, 1 / Math.sqrt(input), seed, name('A'));
    const b = stored?.b ?? new Float32Array(out * method.rank);
    return {
      block,
      projection,
      a: parameter('A', [method.rank, input], a),
      b: parameter('B', [out, method.rank], b),
    };
  });
  const byModule = new Map(pairs.map((pair) => [`${pair.block}.${pair.projection}`, pair]));
  const parameters = pairs.flatMap(({ a, b }) => [a, b]);
  return {
    parameters,
    parts: (g, values, dropout) => ({
      given: new Map(),
      adapt: (block, projection, x, y) => {
        const module = `${block}.${projection}`;
        const pair = byModule.get(module);
        if (pair === undefined) return y;
        const kept = dropout === null ? x : g.mul(x, dropout.mask(block, projection, x));
        const inner = g.matMul(kept, values.get(pair.a.name)!, { transposeB: true });
        // Dropout leaves the expected input as it is: what is kept counts for what is not.
        const alpha = dropout === null ? scale : scale / dropout.keep;
        return g.add(y, g.matMul(inner, values.get(pair.b.name)!, { transposeB: true, alpha }));
      },
    }),
    save: (folder) => saveAdapter(folder, checkpoint, method, pairs),
  };
}

/** The tensor's name in PEFT's file; where projections share one, with the projection's own after it. */
function parameterName(
  { config }: Checkpoint,
  block: number,
  projection: Projection,
  part: 'A' | 'B',
): string {
  const name = adapterTensorName(config, block, projection, part);
  return projectionRows(config, projection).parts.length === 1 ? name : partName(name, projection);
}

/** alpha / rank, or alpha / √rank with rs-LoRA. */
export function loraScale({ rank, alpha, rankStabilised }: LoraMethod): number {
  return alpha / (rankStabilised === true ? Math.sqrt(rank) : rank);
}

/** The products that the method adapts, block by block. */
export function adaptedModules(
  { config }: Pick<Checkpoint, 'config'>,
  method: LoraMethod,
): { readonly block: number; readonly projection: Projection }[] {
  const blocks = method.blocks ?? Array.from({ length: config.layers }, (_, block) => block);
  const targets = projections.filter((name) => method.targets?.includes(name) ?? true);
  return [...blocks]
    .sort((a, b) => a - b)
    .flatMap((block) => targets.map((projection) => ({ block, projection })));
}

async function readStart(checkpoint: Checkpoint, method: LoraMethod): Promise<Map<string, StoredPair>> {
  const folder = method.initAdapter!;
  const { pairs } = await readAdapter(folder, checkpoint.config);
  const found = new Map(pairs.map((pair) => [`${pair.layer}.${pair.projection}`, pair]));
  const wanted = new Set(
    adaptedModules(checkpoint, method).map(({ block, projection }) => `${block}.${projection}`),
  );
  const differ = (what: string, expected: string | number, got: string | number): never => {
    throw new ModelError(
      `"${folder}": expected an adapter with ${what} ${expected}, as the training asks, got ${got}; change the options to those of the adapter`,
      { details: { folder, what, expected, got } },
    );
  };
  for (const module of wanted) if (!found.has(module)) differ('a pair for', module, 'none');
  for (const [module, pair] of found) {
    if (!wanted.has(module)) differ('no pair for', module, 'one');
    if (pair.rank !== method.rank) differ('rank', method.rank, pair.rank);
    const scale = loraScale(method);
    if (Math.abs(pair.scale - scale) > 1e-12 * scale) differ('scale', scale, pair.scale);
  }
  return found;
}

function checkMethod({ config }: Checkpoint, method: LoraMethod): void {
  const { rank, alpha, dropout = 0, targets, blocks } = method;
  if (!Number.isInteger(rank) || rank < 1)
    throw new UsageError(`expected a LoRA rank that is a whole number ≥ 1, got ${rank}`);
  if (!(alpha > 0 && Number.isFinite(alpha))) throw new UsageError(`expected a LoRA alpha > 0, got ${alpha}`);
  if (!(dropout >= 0 && dropout < 1))
    throw new UsageError(`expected a LoRA dropout from 0 to below 1, got ${dropout}`);
  if (targets?.length === 0)
    throw new UsageError(`expected at least one LoRA target of ${projections.join(', ')}, got none`);
  const unknown = targets?.find((name) => !projections.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`expected LoRA targets among ${projections.join(', ')}, got ${unknown}`);
  if (blocks?.length === 0) throw new UsageError('expected at least one block to adapt, got none');
  const outside = blocks?.find((block) => !Number.isInteger(block) || block < 0 || block >= config.layers);
  if (outside !== undefined)
    throw new UsageError(
      `expected blocks to adapt from 0 to ${config.layers - 1} (PEFT counts blocks from 0), got ${outside}`,
    );
  if (new Set(blocks).size !== (blocks?.length ?? 0))
    throw new UsageError('expected each block to adapt once, got one twice');
}

function uniform(length: number, bound: number, ...name: (string | number)[]): Float32Array {
  const stream = randomStream('lora', ...name);
  return Float32Array.from({ length }, () => (2 * stream.uniform() - 1) * bound);
}
