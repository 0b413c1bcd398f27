import { ModelError } from '../errors.ts';
import type { GraphBuilder } from '../graph/graph.ts';
import type { DataType, FileRange, Value } from '../graph/types.ts';
import type { WeightDtype } from '../model/weights.ts';
import { isQuantised, type QuantisedOrPlainSource, type QuantisedSource } from './quantised-weights.ts';

/**
 * A model's weights as values of one graph. Each is an initialiser that lies in its file, but those whose numbers
 * are given from outside, by name (weights in training).
 */
export class WeightValues {
  private readonly g: GraphBuilder;
  private readonly given: ReadonlyMap<string, Value>;
  private readonly externals = new Map<string, Value>();

  /** `given`: tensor name of the checkpoint → f32 value of the tensor's shape. */
  constructor(g: GraphBuilder, given: ReadonlyMap<string, Value> = new Map()) {
    this.g = g;
    this.given = given;
  }

  /** x Wᵀ. */
  product(x: Value, source: QuantisedOrPlainSource): Value {
    const { g } = this;
    if (!isQuantised(source)) return g.matMul(x, this.float(source), { transposeB: true });
    const [N, K] = source.shape;
    const { bits, blockSize } = source;
    const [q, scales] = this.blocks(source);
    // Level 4: the kernel rounds x to 8 bits a block too and multiplies in integers.
    return g.matMulNBits(x, q, scales, null, { K, N, bits, blockSize, accuracyLevel: 4 });
  }

  /** The rows of a table at `ids`, as f32. */
  rows(source: QuantisedOrPlainSource, ids: Value): Value {
    // Gather first, cast after: a cast of the whole table would be folded into a second, wider table.
    return this.widen(this.g.gather(this.plain(source), ids));
  }

  /** The weight as f32; the runtime folds the cast of a narrow one once, when the session is made. */
  float(source: QuantisedOrPlainSource): Value {
    return this.widen(this.plain(source));
  }

  private widen(value: Value): Value {
    return value.type.dtype === 'f32' ? value : this.g.cast(value, 'f32');
  }

  private plain(source: QuantisedOrPlainSource): Value {
    const given = this.given.get(source.name);
    if (given !== undefined) return given;
    if (isQuantised(source))
      throw new ModelError(`expected plain numbers for ${source.name}, got ${source.bits}-bit blocks`);
    return this.external(source.name, dataTypes[source.dtype], source.shape, source);
  }

  /** Packed weights `[N, blocks, bytes of a block]` and their scales `[N * blocks]`. */
  private blocks(source: QuantisedSource): readonly [Value, Value] {
    const { name, bits, blockSize, q, scales } = source;
    const [N, K] = source.shape;
    const blocks = Math.ceil(K / blockSize);
    return [
      this.external(`${name}.q`, 'u8', [N, blocks, (blockSize * bits) / 8], q),
      this.external(`${name}.scales`, 'f32', [N * blocks], scales),
    ];
  }

  /** Tied weights are one tensor under one name. */
  private external(name: string, dtype: DataType, shape: readonly number[], range: FileRange): Value {
    const known = this.externals.get(name);
    if (known !== undefined) return known;
    const { file, offset, byteLength } = range;
    const own = name.replace(/^.*\.layers\.\d+\./, '');
    const value = this.g.external(own, dtype, shape, { file, offset, byteLength });
    this.externals.set(name, value);
    return value;
  }
}

const dataTypes: Readonly<Record<WeightDtype, DataType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
