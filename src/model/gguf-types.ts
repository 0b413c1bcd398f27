/** Types whose numbers lie in blocks of a scale or more, in the order of the format's numbers. */
export const ggufBlockTypes = [
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
] as const;
export type GgufBlockType = (typeof ggufBlockTypes)[number];

/** What a tensor's numbers can be read from. */
export type GgufType = 'F32' | 'F16' | 'BF16' | GgufBlockType;

export interface GgufLayout {
  readonly name: GgufType;
  /** Numbers that lie together, along a row, and the bytes that they take. */
  readonly blockSize: number;
  readonly blockBytes: number;
}

/** By the format's type numbers. */
export const ggufLayouts: ReadonlyMap<number, GgufLayout> = new Map(
  (
    [
      [0, 'F32', 1, 4],
      [1, 'F16', 1, 2],
      [2, 'Q4_0', 32, 18],
      [3, 'Q4_1', 32, 20],
      [6, 'Q5_0', 32, 22],
      [7, 'Q5_1', 32, 24],
      [8, 'Q8_0', 32, 34],
      [10, 'Q2_K', 256, 84],
      [11, 'Q3_K', 256, 110],
      [12, 'Q4_K', 256, 144],
      [13, 'Q5_K', 256, 176],
      [14, 'Q6_K', 256, 210],
      [30, 'BF16', 1, 2],
    ] as const
  ).map(([id, name, blockSize, blockBytes]) => [id, { name, blockSize, blockBytes }]),
);

/** Types that files in use have and that are not read, so that messages can name them. */
export const otherGgufTypes: ReadonlyMap<number, string> = new Map([
  [9, 'Q8_1'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
]);

export function isGgufBlockType(dtype: string): dtype is GgufBlockType {
  return (ggufBlockTypes as readonly string[]).includes(dtype);
}

/** The format's number of a type. */
export function ggufTypeId(name: GgufType): number {
  for (const [id, layout] of ggufLayouts) if (layout.name === name) return id;
  throw new RangeError(`no such type: ${name}`);
}

/** The layout of a type by its name. */
export function ggufLayout(name: GgufType): GgufLayout {
  return ggufLayouts.get(ggufTypeId(name))!;
}
