/** How a shape with named axes becomes another one: proof that the sizes agree, and the ONNX constant. */

import type { Dim } from '../types.ts';
import { formatShape } from '../types.ts';
import type { OpCall } from './definition.ts';
import { reject } from './definition.ts';

/**
 * The ONNX form of a reshape: numbers stand for themselves, 0 copies the input's axis at the same place, and
 * one −1 takes what is left. Both shapes are products of numbers and names; they must be equal as such.
 *
 * The runtime cannot compute a −1 beside an empty axis, so −1 is used only for a name that moves.
 */
export function planReshape(call: OpCall, from: readonly Dim[], to: readonly Dim[]): readonly number[] {
  if (!sameProduct(from, to)) {
    reject(call, `a shape with the elements of ${formatShape(from)}`, formatShape(to));
  }
  const plan = to.map((dim, axis) => {
    if (dim === from[axis] && (typeof dim === 'string' || dim === 0)) return 0;
    if (typeof dim === 'string') return -1;
    // 0 means "copy" to ONNX, so an empty axis can only stay where it is.
    if (dim === 0)
      return reject(call, `empty axes to stay in place of ${formatShape(from)}`, formatShape(to));
    return dim;
  });
  if (plan.filter((dim) => dim === -1).length > 1) {
    reject(call, 'at most one named axis that is not in its place of the input', formatShape(to));
  }
  if (plan.includes(-1) && to.includes(0)) {
    reject(call, 'named axes in their place of the input beside an empty axis', formatShape(to));
  }
  return plan;
}

/** Whether `planReshape` finds a plan, that is, whether the lengths need not be known when the graph runs. */
export function canReshape(from: readonly Dim[], to: readonly Dim[]): boolean {
  const moved = to.filter((dim, axis) => typeof dim === 'string' && dim !== from[axis]);
  const isEmptyInPlace = to.every((dim, axis) => dim !== 0 || from[axis] === 0);
  return sameProduct(from, to) && isEmptyInPlace && moved.length <= (to.includes(0) ? 0 : 1);
}

/** Whether two shapes hold the same number of elements for every value of their names. */
function sameProduct(from: readonly Dim[], to: readonly Dim[]): boolean {
  const [a, b] = [factorise(from), factorise(to)];
  return a.number === b.number && a.names.join('*') === b.names.join('*');
}

function factorise(shape: readonly Dim[]): { number: number; names: readonly string[] } {
  let number = 1;
  const names: string[] = [];
  for (const factor of shape.flatMap((dim): Dim[] => (typeof dim === 'string' ? dim.split('*') : [dim]))) {
    if (typeof factor === 'number' || /^\d+$/.test(factor)) number *= Number(factor);
    else names.push(factor);
  }
  return { number, names: number === 0 ? [] : names.sort() };
}
