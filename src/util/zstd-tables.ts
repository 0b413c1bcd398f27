import { FseTable } from './zstd-entropy.ts';

/** `[base, extra bits]` of a code of literal lengths. */
export function lengthCode(code: number): readonly [number, number] {
  return code < 16 ? [code, 0] : lengthCodes[code - 16]!;
}

/** `[base, extra bits]` of a code of match lengths. */
export function matchCode(code: number): readonly [number, number] {
  return code < 32 ? [code + 3, 0] : matchCodes[code - 32]!;
}

/** From code 16 on. */
const lengthCodes: readonly (readonly [number, number])[] = fromBits(
  16,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);
/** From code 32 on. */
const matchCodes: readonly (readonly [number, number])[] = fromBits(
  35,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);

/** Each code begins where the one before it ends. */
function fromBits(first: number, bits: readonly number[]): readonly (readonly [number, number])[] {
  let base = first;
  return bits.map((count) => {
    const code = [base, count] as const;
    base += 2 ** count;
    return code;
  });
}

function repeated(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}

/** Of literal lengths, offsets and match lengths: how many codes there are, how fine a table may be, and the given one. */
export const predefined: readonly {
  readonly symbols: number;
  readonly accuracy: number;
  readonly table: FseTable;
}[] = [
  {
    symbols: 36,
    accuracy: 9,
    table: new FseTable(
      [4, 3, ...repeated(11, 2), 1, 1, 1, ...repeated(9, 2), 3, 2, ...repeated(5, 1), ...repeated(4, -1)],
      6,
    ),
  },
  {
    symbols: 32,
    accuracy: 8,
    table: new FseTable([...repeated(6, 1), 2, 2, 2, ...repeated(15, 1), ...repeated(5, -1)], 5),
  },
  {
    symbols: 53,
    accuracy: 9,
    table: new FseTable([1, 4, 3, ...repeated(6, 2), ...repeated(37, 1), ...repeated(7, -1)], 6),
  },
];
