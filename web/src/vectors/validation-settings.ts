import type { VectorValidation } from '../../../src/server/client.ts';

export type Validation = VectorValidation['validations'][number];
export type Cell = Validation['cells'][number];

/** What of a vector's validation is shown, as it is kept in the page's address. */
export interface MapSettings {
  readonly measure: 'score' | 'coherence';
  readonly direction: 'vector' | 'random';
  /** Place among the validations. */
  readonly which: number;
}

export const mapForm = {
  read: (fragment: string): MapSettings => {
    const query = new URLSearchParams(fragment.replace(/^#/, ''));
    const which = query.get('validation') ?? '';
    return {
      measure: query.get('measure') === 'coherence' ? 'coherence' : 'score',
      direction: query.get('direction') === 'random' ? 'random' : 'vector',
      which: /^[12]$/.test(which) ? Number(which) : 0,
    };
  },
  write: ({ measure, direction, which }: MapSettings): string => {
    const query = new URLSearchParams();
    if (measure !== 'score') query.set('measure', measure);
    if (direction !== 'vector') query.set('direction', direction);
    if (which !== 0) query.set('validation', String(which));
    return query.toString();
  },
};

/** What a strength counts, in words. */
export const unitWords: Readonly<Record<Validation['unit'], string>> = {
  fraction: 'Strength: length as a share of the residual stream’s own',
  norm: 'Strength: length of what is added',
  coef: 'Strength: coefficient of the vector',
};

/** A grid of cells: strengths rising, layers from the top down; where a pass has left a gap there is none. */
export interface Grid {
  readonly strengths: readonly number[];
  readonly layers: readonly number[];
  readonly at: (layer: number, strength: number) => Cell | undefined;
}

export function gridOf(cells: readonly Cell[]): Grid {
  const byPlace = new Map(cells.map((cell) => [`${cell.layer} ${cell.strength}`, cell]));
  return {
    strengths: [...new Set(cells.map(({ strength }) => strength))].sort((a, b) => a - b),
    layers: [...new Set(cells.map(({ layer }) => layer))].sort((a, b) => b - a),
    at: (layer, strength) => byPlace.get(`${layer} ${strength}`),
  };
}

/** Whether the text of a cell has broken. */
export function isBroken({ coherence }: Cell, { coherence_floor: floor }: Validation): boolean {
  return (coherence ?? 0) < floor;
}

/** Points away from the unsteered score that are the full colour. */
const fullChange = 40;

/** A cell's colour: of a score how far it is from the unsteered one, of coherence how much there is. */
export function toneOf(
  cell: Cell,
  { unsteered }: Validation,
  measure: MapSettings['measure'],
): { readonly tone: 'up' | 'down'; readonly depth: number } {
  if (measure === 'coherence') return { tone: 'up', depth: (cell.coherence ?? 0) / 100 };
  const change = (cell.score ?? 50) - (unsteered.score ?? 50);
  return { tone: change < 0 ? 'down' : 'up', depth: Math.min(1, Math.abs(change) / fullChange) };
}
