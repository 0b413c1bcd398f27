import { UsageError } from '../errors.ts';
import { type VectorMetadata, readVectorFile, writeVectorFile } from '../store/vector-file.ts';

export type { VectorMetadata } from '../store/vector-file.ts';

/**
 * A trait's direction at every layer: the raw difference of mean activations, not normalised. A value: every
 * operation gives a new one.
 */
export class PersonaVector {
  /** L; layers are counted 1 … L, and layer 0 is the embeddings. */
  readonly layers: number;
  /** Width of the residual stream. */
  readonly width: number;
  /** `[L+1, width]`, row l = layer l. */
  readonly data: Float32Array;
  readonly metadata: VectorMetadata;

  constructor(layers: number, width: number, data: Float32Array, metadata: VectorMetadata) {
    if (data.length !== (layers + 1) * width) {
      throw new UsageError(
        `Expected ${layers + 1} × ${width} numbers for a vector of ${layers} layers, got ${data.length}.`,
        { details: { expected: (layers + 1) * width, got: data.length } },
      );
    }
    this.layers = layers;
    this.width = width;
    this.data = data;
    this.metadata = metadata;
  }

  /** The direction at a layer, `[width]`; UsageError for a layer that the model does not have. */
  row(layer: number): Float32Array {
    if (!Number.isInteger(layer) || layer < 0 || layer > this.layers) {
      throw new UsageError(`Expected a layer from 0 to ${this.layers}, got ${layer}.`, {
        details: { layer },
      });
    }
    return this.data.subarray(layer * this.width, (layer + 1) * this.width);
  }

  /** Euclidean length at a layer. */
  norm(layer: number): number {
    return euclideanNorm(this.row(layer));
  }

  /** Sum with a vector of the same shape; the metadata are this one's, with no recommendation left. */
  add(other: PersonaVector): PersonaVector {
    if (other.layers !== this.layers || other.width !== this.width) {
      throw new UsageError(
        `Expected a vector of ${this.layers} layers and width ${this.width} to add, got ${other.layers} and ${other.width}.`,
        { details: { layers: other.layers, width: other.width } },
      );
    }
    return this.#with(
      this.data.map((value, i) => value + other.data[i]!),
      this.metadata.trait === other.metadata.trait
        ? this.metadata.trait
        : `${this.metadata.trait} + ${other.metadata.trait}`,
    );
  }

  /** Every number times `factor`; steering with −1 suppresses the trait. */
  scale(factor: number): PersonaVector {
    return this.#with(
      this.data.map((value) => value * factor),
      this.metadata.trait,
    );
  }

  /** Writes this one pooling as a vector file, whole or not at all. */
  async save(path: string): Promise<void> {
    const tensors = new Map([[this.metadata.pooling, this.data]]);
    await writeVectorFile(path, { layers: this.layers, width: this.width, tensors, metadata: this.metadata });
  }

  /**
   * Reads a vector file, such as a run's `vector.safetensors`.
   *
   * @param pooling Which of its poolings; default: the one that the file recommends.
   * @throws ParseError when it is no vector file; UsageError when it has no such pooling.
   */
  static async load(path: string, pooling?: string): Promise<PersonaVector> {
    const file = await readVectorFile(path);
    const name = pooling ?? file.metadata.pooling;
    const data = file.tensors.get(name);
    if (data === undefined) {
      throw new UsageError(
        `Expected one of the poolings in "${path}" (${[...file.tensors.keys()].join(', ')}), got "${name}".`,
        { details: { file: path, pooling: name } },
      );
    }
    // What was measured was measured with the file's own vector; another direction of its pooling has the same stream.
    const { residualNorms, pooling: own } = file.metadata;
    const same = name === own;
    const beside = name.startsWith(`${own}.`);
    const other = { pooling: name, residualNorms: beside ? residualNorms : null, ...noRecommendation };
    const metadata = same ? file.metadata : { ...file.metadata, ...other };
    return new PersonaVector(file.layers, file.width, data, metadata);
  }

  #with(data: Float32Array, trait: string): PersonaVector {
    return new PersonaVector(this.layers, this.width, data, { ...this.metadata, trait, ...noRecommendation });
  }
}

const noRecommendation = { recommendedLayer: null, recommendedStrength: null } as const;

/** √Σx², summed in Float64 and index order. */
export function euclideanNorm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return Math.sqrt(sum);
}
