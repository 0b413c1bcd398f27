import { DataError, UsageError } from '../errors.ts';
import { type ActivationsFile, openActivations } from '../store/activations-file.ts';
import { unknownOrigin } from '../store/vector-file.ts';
import { differenceOfMeans, meanNorms, type ReadRecord } from './extract-vector.ts';
import { PersonaVector } from './vector.ts';

/**
 * How the layer axis of activations made elsewhere is counted. `hidden-states`: Hugging Face's `output_hidden_states`, L+1
 * entries, the embeddings first and the last one after the final norm. `blocks`: the outputs of blocks 0 … L−1, so that entry
 * i is layer i + 1. `persona`: this package's, as `hidden-states` but for the last, which is before the norm.
 */
export type ActivationLayout = 'hidden-states' | 'blocks' | 'persona';

/** Activations of both poles: a file each, or one file and a label for every row. */
export type ActivationsSource =
  | { readonly pos: string; readonly neg: string }
  /** Labels: 1 for a positive row, 0 for a negative one; default: the file's own tensor "labels". */
  | { readonly rows: string; readonly labels?: readonly number[] | undefined };

export interface FromActivationsOptions {
  /** Default: as the file says, where `persona activations` wrote it. */
  readonly layout?: ActivationLayout | undefined;
  /** The layers (1 … L, or 0) that the layer axis holds, where it does not hold all. */
  readonly at?: readonly number[] | undefined;
  /** L of the model, with `at`. */
  readonly layers?: number | undefined;
  /** Which tensor of a safetensors file; default: the only one that can be meant. */
  readonly tensor?: string | undefined;
  readonly trait: string;
  readonly model?: string | undefined;
  /** What the rows are means of, to be noted. */
  readonly pooling?: string | undefined;
}

/**
 * The vector of activations made elsewhere: mean of the positive rows minus mean of the negative ones, by the code that an
 * extraction uses (`differenceOfMeans`). Layers that the files lack are zero and cannot be steered at.
 *
 * @throws ParseError for a damaged file; UsageError for options that do not fit it; DataError for rows or labels that do not.
 */
export async function vectorFromActivations(
  source: ActivationsSource,
  options: FromActivationsOptions,
): Promise<PersonaVector> {
  const { pos, neg, described } = await openPoles(source, options);
  const { file } = pos;
  const places = layerPlaces(file, options);
  const { layers } = places;
  const at = (index: number): readonly [ActivationsFile, number] =>
    index < pos.rows.length ? [file, pos.rows[index]!] : [neg.file, neg.rows[index - pos.rows.length]!];
  const read: ReadRecord = async (_, index) => {
    const [of, row] = at(index);
    return spread(await of.read(row), places, file.width);
  };
  const positive = pos.rows.map((_, i) => i);
  const negative = neg.rows.map((_, i) => pos.rows.length + i);
  const pooling = options.pooling ?? (file.ours ? file.tensor : null) ?? 'unknown';
  const vectors = await differenceOfMeans({ pos: positive, neg: negative }, [pooling], read);
  const absentLayers = Array.from({ length: layers + 1 }, (_, l) => l).filter(
    (l) => !places.held.includes(l),
  );
  return new PersonaVector(layers, file.width, vectors.get(pooling)!, {
    ...unknownOrigin({ trait: options.trait, pooling, model: options.model ?? file.model ?? undefined }),
    method: 'difference_of_means',
    residualNorms: await meanNorms([...positive, ...negative], pooling, file.width, read),
    source: described,
    ...(absentLayers.length > 0 && { absentLayers }),
    ...(places.normed && { lastRow: 'final_norm' }),
  });
}

interface PoleRows {
  readonly file: ActivationsFile;
  readonly rows: readonly number[];
}

async function openPoles(
  source: ActivationsSource,
  { tensor, at }: FromActivationsOptions,
): Promise<{ readonly pos: PoleRows; readonly neg: PoleRows; readonly described: string }> {
  const shape = { tensor, single: at?.length === 1 };
  if ('rows' in source) {
    const file = await openActivations(source.rows, shape);
    const labels = checkLabels(source.labels ?? (await file.labels()), file);
    const [pos, neg] = [1, 0].map((label) => [...labels.keys()].filter((row) => labels[row] === label));
    const described = `${pos!.length} rows labelled 1 and ${neg!.length} labelled 0 in ${file.path}`;
    return { pos: { file, rows: pos! }, neg: { file, rows: neg! }, described };
  }
  const [pos, neg] = [await openActivations(source.pos, shape), await openActivations(source.neg, shape)];
  if (pos.layers !== neg.layers || pos.width !== neg.width || pos.ours !== neg.ours)
    throw new DataError(
      `Expected activations of one model and one kind, got [${pos.layers}, ${pos.width}] a row in "${pos.path}" and [${neg.layers}, ${neg.width}] in "${neg.path}".`,
      { details: { file: neg.path } },
    );
  const all = (file: ActivationsFile): PoleRows => ({
    file,
    rows: Array.from({ length: file.rows }, (_, i) => i),
  });
  return {
    pos: all(pos),
    neg: all(neg),
    described: `${pos.rows} rows of ${pos.path} and ${neg.rows} of ${neg.path}`,
  };
}

function checkLabels(labels: readonly number[] | null, file: ActivationsFile): readonly number[] {
  if (labels === null)
    throw new UsageError(
      `Expected to be told which rows of "${file.path}" are positive, got neither labels nor a tensor "labels"; give a file with 1 or 0 a line, or the poles as two files.`,
      { details: { file: file.path } },
    );
  if (labels.length !== file.rows)
    throw new DataError(
      `Expected a label for each of the ${file.rows} rows of "${file.path}", got ${labels.length}.`,
      { details: { file: file.path, expected: file.rows, got: labels.length } },
    );
  const odd = labels.findIndex((label) => label !== 0 && label !== 1);
  if (odd !== -1)
    throw new DataError(`Expected labels 1 or 0, got ${labels[odd]} for row ${odd + 1} of "${file.path}".`, {
      details: { file: file.path, row: odd + 1 },
    });
  for (const label of [1, 0])
    if (!labels.includes(label))
      throw new DataError(`Expected rows of both labels in "${file.path}", got none with ${label}.`, {
        details: { file: file.path },
      });
  return labels;
}

/** Where the entries of the layer axis belong. */
interface Places {
  /** L. */
  readonly layers: number;
  /** Layer of each entry. */
  readonly held: readonly number[];
  /** Whether layer L was taken after the final norm. */
  readonly normed: boolean;
}

function layerPlaces(file: ActivationsFile, { at, layers, layout }: FromActivationsOptions): Places {
  const counted = layout ?? (file.ours ? 'persona' : null);
  if (at !== undefined) return listedPlaces(file, at, layers, counted === 'hidden-states');
  if (counted === null)
    throw new UsageError(
      `Expected to be told how "${file.path}" counts its ${file.layers} layers, which it does not say; give --from hidden-states (embeddings first, the last after the final norm), --from blocks (outputs of blocks, none for the embeddings), or --at with the layers that it holds.`,
      { details: { file: file.path } },
    );
  const first = counted === 'blocks' ? 1 : 0;
  const last = file.layers - 1 + first;
  if (last < 1 || (layers !== undefined && layers !== last))
    throw new UsageError(
      `Expected activations of ${layers ?? 'at least 1'} layers in "${file.path}", got ${last} as ${counted} counts them.`,
      { details: { file: file.path, layers: last } },
    );
  return {
    layers: last,
    held: Array.from({ length: file.layers }, (_, i) => i + first),
    normed: counted === 'hidden-states',
  };
}

function listedPlaces(
  file: ActivationsFile,
  at: readonly number[],
  layers: number | undefined,
  afterNorm: boolean,
): Places {
  if (layers === undefined)
    throw new UsageError("Expected the model's number of layers with --at, got none; give --layers.");
  if (
    at.length !== file.layers ||
    new Set(at).size !== at.length ||
    at.some((layer) => layer < 0 || layer > layers)
  )
    throw new UsageError(
      `Expected ${file.layers} different layers from 0 to ${layers}, one for each entry of "${file.path}", got ${at.join(', ')}.`,
      { details: { file: file.path } },
    );
  return { layers, held: at, normed: afterNorm && at.includes(layers) };
}

/** `[L+1, width]` of one row, zero where the file has nothing. */
function spread(values: Float32Array, { layers, held }: Places, width: number): Float32Array {
  const whole = new Float32Array((layers + 1) * width);
  for (const [i, layer] of held.entries())
    whole.set(values.subarray(i * width, (i + 1) * width), layer * width);
  return whole;
}
