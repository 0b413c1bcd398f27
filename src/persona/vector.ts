import { UsageError } from '../errors.ts';
import {
  type VectorMetadata,
  readVectorFile,
  unusableReason,
  writeVectorFile,
} from '../store/vector-file.ts';
import { type ImportOptions, importVector, vectorPath } from '../store/vector-import.ts';
import { cosine, dot } from '../util/vectors.ts';

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

  /** The row at a layer, `[width]`; UsageError for a layer that the model does not have. */
  row(layer: number): Float32Array {
    if (!Number.isInteger(layer) || layer < 0 || layer > this.layers) {
      throw new UsageError(`Expected a layer from 0 to ${this.layers}, got ${layer}.`, {
        details: { layer },
      });
    }
    return this.data.subarray(layer * this.width, (layer + 1) * this.width);
  }

  /** The row as a direction of the residual stream, to steer by; UsageError where it is none (see `usableLayers`). */
  direction(layer: number): Float32Array {
    const row = this.row(layer);
    const reason = unusableReason(this, layer);
    if (reason === null) return row;
    throw new UsageError(
      `Expected a layer at which the ${this.metadata.trait} vector has a direction, got ${layer}: ${reason}.`,
      { details: { layer } },
    );
  }

  /** Layers out of 1 … L that can be steered at: all, unless the vector came from a format that lacks some. */
  get usableLayers(): number[] {
    const all = Array.from({ length: this.layers }, (_, i) => i + 1);
    return all.filter((layer) => unusableReason(this, layer) === null);
  }

  /** Euclidean length at a layer. */
  norm(layer: number): number {
    return euclideanNorm(this.row(layer));
  }

  /** Cosine with another vector of the same shape by layer, `[L+1]`; null where either is zero or has no direction. */
  cosines(other: PersonaVector): (number | null)[] {
    this.#requireShape(other, 'compare');
    return Array.from({ length: this.layers + 1 }, (_, layer) => {
      const [a, b] = [this.row(layer), other.row(layer)];
      return dot(a, a) === 0 || dot(b, b) === 0 ? null : cosine(a, b);
    });
  }

  /** Whether shape and every number are the same; metadata do not count. */
  equals(other: PersonaVector): boolean {
    const shaped = other.layers === this.layers && other.width === this.width;
    return shaped && this.data.every((value, i) => value === other.data[i]);
  }

  /** Sum with a vector of the same shape; the metadata are this one's, with no recommendation left. */
  add(other: PersonaVector): PersonaVector {
    return this.#combine(other, '+', (value, i) => value + other.data[i]!);
  }

  /** Difference, as `add`: this one less the other. */
  subtract(other: PersonaVector): PersonaVector {
    return this.#combine(other, '−', (value, i) => value - other.data[i]!);
  }

  /** Every number times `factor`; steering with −1 suppresses the trait. */
  scale(factor: number): PersonaVector {
    const { trait } = this.metadata;
    return this.#with(
      this.data.map((value) => value * factor),
      trait,
    );
  }

  /** What is left of this vector at right angles to the other, layer by layer: v − (v·u) u with u the other's direction. */
  projectOut(other: PersonaVector): PersonaVector {
    const shares = Array.from({ length: this.layers + 1 }, (_, layer) => {
      const [row, along] = [this.row(layer), this.#requireShape(other, 'project out').row(layer)];
      const square = dot(along, along);
      return square === 0 ? 0 : dot(row, along) / square;
    });
    const { width } = this;
    return this.#combine(other, '⊥', (value, i) => value - shares[Math.floor(i / width)]! * other.data[i]!);
  }

  /**
   * What each layer adds to the one before, v_l − v_{l−1}, for steering at all layers at once: there v_l would count what
   * earlier layers' additions have already brought. Row 0 is kept. UsageError where a layer has no direction.
   */
  incremental(): PersonaVector {
    const { absentLayers = [] } = this.metadata;
    if (absentLayers.some((layer) => layer > 0)) {
      throw new UsageError(
        `Expected a vector with a direction at every layer to take differences of, got one without at ${absentLayers.join(', ')}.`,
        { details: { absent: absentLayers.join() } },
      );
    }
    const { width, data } = this;
    const steps = data.map((value, i) => (i < width ? value : value - data[i - width]!));
    return this.#with(steps, `${this.metadata.trait}, incremental`);
  }

  /**
   * A direction `[width]` found elsewhere, such as a feature of an autoencoder, in this vector's place at one layer and as long as this
   * one there, so that equal coefficients steer equally far; other layers have none.
   */
  substitute(layer: number, direction: Float32Array, trait: string): PersonaVector {
    const own = this.direction(layer);
    const length = euclideanNorm(direction);
    if (direction.length !== this.width || !(length > 0)) {
      throw new UsageError(
        `Expected a direction of ${this.width} numbers, not all of them 0, got ${direction.length} of length ${length}.`,
        { details: { layer } },
      );
    }
    const factor = euclideanNorm(own) / length;
    const data = new Float32Array(this.data.length);
    data.set(
      direction.map((value) => value * factor),
      layer * this.width,
    );
    const absentLayers = Array.from({ length: this.layers + 1 }, (_, l) => l).filter((l) => l !== layer);
    return this.#with(data, trait).describe({ absentLayers, recommendedLayer: layer });
  }

  /** The same numbers with other metadata, such as another name. */
  describe(change: Partial<VectorMetadata>): PersonaVector {
    return new PersonaVector(this.layers, this.width, this.data, { ...this.metadata, ...change });
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

  /**
   * Reads a vector of any format: a vector file, a run folder, the authors' or assistant-axis's `.pt`, a GGUF control vector.
   *
   * @returns the vector, and what was done on the way, in sentences.
   */
  static async import(
    path: string,
    options: ImportOptions = {},
  ): Promise<{ readonly vector: PersonaVector; readonly notes: readonly string[] }> {
    const { file, format, notes } = await importVector(path, options);
    if (format === 'safetensors') {
      return { vector: await PersonaVector.load(await vectorPath(path), options.pooling), notes };
    }
    const data = file.tensors.get(file.metadata.pooling)!;
    return { vector: new PersonaVector(file.layers, file.width, data, file.metadata), notes };
  }

  #combine(
    other: PersonaVector,
    sign: string,
    value: (value: number, index: number) => number,
  ): PersonaVector {
    this.#requireShape(other, 'combine with');
    const [a, b] = [this.metadata, other.metadata];
    const absent = [...new Set([...(a.absentLayers ?? []), ...(b.absentLayers ?? [])])].sort((x, y) => x - y);
    const data = this.data.map(value);
    for (const layer of absent) data.fill(0, layer * this.width, (layer + 1) * this.width);
    const trait = a.trait === b.trait ? a.trait : `${a.trait} ${sign} ${b.trait}`;
    return this.#with(data, trait).describe({
      ...(absent.length > 0 && { absentLayers: absent }),
      ...((a.lastRow ?? b.lastRow) !== undefined && { lastRow: 'final_norm' }),
    });
  }

  #requireShape(other: PersonaVector, purpose: string): PersonaVector {
    if (other.layers === this.layers && other.width === this.width) return other;
    throw new UsageError(
      `Expected a vector of ${this.layers} layers and width ${this.width} to ${purpose}, got ${other.layers} and ${other.width}; vectors of one model go together.`,
      { details: { layers: other.layers, width: other.width } },
    );
  }

  #with(data: Float32Array, trait: string): PersonaVector {
    return new PersonaVector(this.layers, this.width, data, { ...this.metadata, trait, ...noRecommendation });
  }
}

const noRecommendation = { recommendedLayer: null, recommendedStrength: null } as const;

/** √Σx², summed in Float64 and index order. */
export function euclideanNorm(values: ArrayLike<number>): number {
  return Math.sqrt(dot(values, values));
}
