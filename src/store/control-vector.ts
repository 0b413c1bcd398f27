import { basename, extname } from 'node:path';
import { ParseError, UsageError } from '../errors.ts';
import type { GgufFile } from '../model/gguf.ts';
import { type GgufEntry, writeGguf } from '../model/gguf-writer.ts';
import type { ImportOptions, ImportedVector } from './vector-import.ts';
import {
  type VectorFile,
  type VectorMetadata,
  parseMetadata,
  toStrings,
  unknownOrigin,
  unusableReason,
} from './vector-file.ts';

/**
 * What becomes of `direction.0`, which llama.cpp refuses: `move` reads it as the output of block 0, which is layer 1, as
 * the numbering has it; `drop` leaves it out.
 */
export const zeroDirections = ['move', 'drop'] as const;
export type ZeroDirection = (typeof zeroDirections)[number];

/** Keys below which this package keeps its own metadata in a control vector; others ignore them. */
const PREFIX = 'persona.';
const NAME = /^direction\.(\d{1,6})$/;
/** As llama.cpp applies it: to the output of block N, counted from 0, which is layer N + 1. */
const LAYER_OF_ZERO = 1;
const MAX_LAYERS = 4096;
/** Half a gigabyte: a file of one wide direction at a high layer would otherwise become thousands of times its size. */
const MAX_NUMBERS = 2 ** 27;

/**
 * A control vector (repeng, llama.cpp, EasySteer) as a vector file: `direction.N` is layer N + 1. Layers without a
 * direction are marked absent.
 *
 * @throws ParseError where a tensor is no direction; UsageError for a `direction.0` that nobody said what to do with.
 */
export function fromControlVector(gguf: GgufFile, path: string, options: ImportOptions): ImportedVector {
  const directions = readDirections(gguf, path);
  const notes = [`direction.N is layer N + 1${shiftWords(options)}.`, ...originNotes(gguf, options)];
  if (directions.has(0)) notes.push(settleZero(directions, path, options));
  if (directions.size === 0)
    throw new ParseError(`"${path}": expected at least one direction, got none.`, {
      details: { file: path },
    });
  const shift = LAYER_OF_ZERO + (options.layerShift ?? 0);
  const byLayer = new Map([...directions].map(([number, data]) => [number + shift, data]));
  const [least, most] = [Math.min(...byLayer.keys()), Math.max(...byLayer.keys())];
  const own = ownMetadata(gguf, path);
  const layers = options.layers ?? own?.layers ?? most;
  if (least < 1 || most > layers)
    throw new UsageError(
      `"${path}": expected directions for layers 1 to ${layers}, got ${least} to ${most}; give another number of layers or another shift.`,
      { details: { file: path } },
    );
  const width = [...byLayer.values()][0]!.length;
  if ((layers + 1) * width > MAX_NUMBERS)
    throw new ParseError(
      `"${path}": expected at most ${MAX_NUMBERS} numbers, got ${layers} layers of width ${width}.`,
      { details: { file: path } },
    );
  const data = new Float32Array((layers + 1) * width);
  for (const [layer, direction] of byLayer) data.set(direction, layer * width);
  const absentLayers = Array.from({ length: layers + 1 }, (_, layer) => layer).filter((l) => !byLayer.has(l));
  const metadata: VectorMetadata = {
    ...(own?.metadata ?? strangersMetadata(gguf, path, options)),
    absentLayers,
  };
  return {
    file: { layers, width, tensors: new Map([[metadata.pooling, data]]), metadata },
    format: 'gguf',
    notes,
  };
}

function readDirections({ tensors }: GgufFile, path: string): Map<number, Float32Array> {
  const directions = new Map<number, Float32Array>();
  let width: number | null = null;
  for (const [name, { shape, data }] of tensors) {
    const number = NAME.exec(name)?.[1];
    const problem =
      number === undefined
        ? `expected tensors called direction.1, direction.2 and so on, got ${JSON.stringify(name.slice(0, 80))}`
        : shape.length !== 1 || shape[0] === 0
          ? `expected ${name} to have one axis, got [${shape.join(', ')}]`
          : width !== null && data.length !== width
            ? `expected ${name} to be ${width} numbers as the others, got ${data.length}`
            : Number(number) > MAX_LAYERS
              ? `expected at most ${MAX_LAYERS} layers, got ${name}`
              : data.every(Number.isFinite)
                ? null
                : `${name} holds numbers that are not finite`;
    if (problem !== null)
      throw new ParseError(`"${path}" is no control vector: ${problem}.`, { details: { file: path } });
    width = data.length;
    directions.set(Number(number), data);
  }
  return directions;
}

function settleZero(directions: Map<number, Float32Array>, path: string, options: ImportOptions): string {
  switch (options.directionZero) {
    case undefined:
      throw new UsageError(
        `"${path}" has a "direction.0", which llama.cpp refuses with the whole file, because it cannot steer block 0; say that it is to be moved to layer 1, which is what its number means (--direction-zero move), or left out (--direction-zero drop).`,
        { details: { file: path } },
      );
    case 'move':
      return 'direction.0 is read as the output of block 0, layer 1; llama.cpp would refuse the file.';
    case 'drop':
      directions.delete(0);
      return 'direction.0 was left out.';
    default:
      return options.directionZero satisfies never;
  }
}

function shiftWords({ layerShift = 0 }: ImportOptions): string {
  return layerShift === 0 ? '' : `, shifted by ${layerShift}`;
}

/** llama.cpp's own generator, known by its signed count, stores every direction one place after where it was measured. */
function originNotes({ metadata }: GgufFile, { layerShift }: ImportOptions): string[] {
  const method = metadata.get('controlvector.method');
  const normalised = metadata.get('controlvector.normalize') === 1;
  return [
    ...(typeof method === 'string' && method !== 'unknown'
      ? [`Made by the method ${JSON.stringify(method.slice(0, 60))}.`]
      : []),
    ...(normalised ? ['Its directions have length 1, so strengths are norms.'] : []),
    ...(layerShift === undefined && method === undefined
      ? [
          "Files of llama.cpp's cvector-generator keep a direction one place after the block it was measured at; a shift of −1 undoes that.",
        ]
      : []),
  ];
}

/** What this package wrote into a control vector of its own; null for others'. */
function ownMetadata(
  { metadata }: GgufFile,
  path: string,
): { readonly layers: number; readonly metadata: VectorMetadata } | null {
  const own = [...metadata].flatMap(([key, value]): [string, string][] =>
    key.startsWith(PREFIX) && typeof value === 'string' ? [[key.slice(PREFIX.length), value]] : [],
  );
  const layers = Number(metadata.get(`${PREFIX}layers`));
  if (own.length === 0 || !Number.isInteger(layers) || layers < 1 || layers > MAX_LAYERS) return null;
  const { lastRow: _, ...known } = parseMetadata(new Map(own), path);
  return { layers, metadata: known };
}

function strangersMetadata({ metadata }: GgufFile, path: string, options: ImportOptions): VectorMetadata {
  const hint = metadata.get('controlvector.model_hint');
  const method = metadata.get('controlvector.method');
  const base = metadata.get('general.base_model.0.name');
  const named = [options.model, base, hint].find((name) => typeof name === 'string' && name !== '');
  const trait = options.trait ?? basename(path, extname(path));
  const model = typeof named === 'string' ? named : undefined;
  return {
    ...unknownOrigin({ trait, pooling: options.pooling ?? 'unknown', model }),
    ...(typeof method === 'string' && { method }),
    source: 'GGUF control vector',
  };
}

/**
 * Writes a pooling as a control vector that llama.cpp and repeng read: layer l becomes `direction.(l − 1)`, layers 2 to L.
 * What those cannot hold, layers 0 and 1, is left out; the metadata go along under keys of their own.
 *
 * @param only Write this layer alone.
 * @returns the layers written.
 * @throws UsageError where no layer is left.
 */
export async function writeControlVector(
  path: string,
  { layers, width, tensors, metadata }: VectorFile,
  pooling: string,
  only?: number,
): Promise<number[]> {
  const data = tensors.get(pooling)!;
  const able = Array.from({ length: layers }, (_, i) => i + 1).filter(
    (layer) => layer >= 2 && unusableReason({ layers, metadata }, layer) === null,
  );
  const written = only === undefined ? able : able.filter((layer) => layer === only);
  if (written.length === 0)
    throw new UsageError(
      `Expected a layer that a control vector can hold (${able.join(', ') || 'none'}; it has no place for layer 1), got ${only ?? 'none'}.`,
      { details: { layer: only ?? null } },
    );
  const vectors = written.map((layer) => ({
    name: `direction.${layer - LAYER_OF_ZERO}`,
    data: data.subarray(layer * width, (layer + 1) * width),
  }));
  await writeGguf(path, controlMetadata(layers, { ...metadata, pooling }, written), vectors);
  return written;
}

function controlMetadata(
  layers: number,
  metadata: VectorMetadata,
  written: readonly number[],
): Map<string, GgufEntry> {
  const text = (value: string): GgufEntry => ({ type: 'string', value });
  const own = Object.entries(toStrings(metadata)).map(([key, value]): [string, GgufEntry] => [
    `${PREFIX}${key}`,
    text(value),
  ]);
  return new Map<string, GgufEntry>([
    ['general.architecture', text('controlvector')],
    ['general.base_model.0.name', text(metadata.model)],
    ['controlvector.model_hint', text(metadata.model)],
    ['controlvector.layer_count', { type: 'u32', value: written.length }],
    ['controlvector.method', text(metadata.method)],
    ['glp.mode', text('add')],
    ['glp.hook_point', text('residual_stream_post_layer')],
    ['glp.layer_ids_zero_based', text(written.map((layer) => layer - 1).join(','))],
    [`${PREFIX}layers`, { type: 'u32', value: layers }],
    ...own,
  ]);
}
