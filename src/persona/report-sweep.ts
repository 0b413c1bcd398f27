import type { Cell, Sweep } from '../store/result-schema.ts';
import { type SafeHtml, fixed, html, signed } from '../util/html.ts';
import { unitNames } from './strength.ts';

/** Layer × strength for the vector and for a random direction beside it, and the two controls without steering. */
export function sweepSection(sweep: Sweep): SafeHtml {
  const { zero, prompts } = sweep;
  return html`<h2>Layer × strength</h2>
<p class="lead">Mean score, and below it the coherence, of ${zero.rollouts} texts a cell, on questions that only choose. Strength: ${unitNames[sweep.unit]}. Unsteered the model scores ${fixed(zero.score)} (coherence ${fixed(zero.coherence)}); prompted with the trait's own instructions and not steered, ${fixed(prompts.pos.score)} (positive) and ${fixed(prompts.neg.score)} (negative).</p>
${heatMaps(sweep)}`;
}

/** The vector's cells, a random direction's beside them, and how to read them. */
export function heatMaps(sweep: Sweep): SafeHtml {
  const fine =
    sweep.fine.length === 0
      ? ''
      : ' Gaps: cells of the second, finer pass are run around the best of the first only.';
  return html`<div class="pair">
<figure><h3>This vector</h3>${heatTable(sweep, sweep.trait)}</figure>
<figure><h3>A random direction of the same norm</h3>${heatTable(sweep, sweep.random)}</figure>
</div>
<p class="note">Colour: distance from the unsteered score, upwards and downwards. Struck through: coherence below ${sweep.coherence_floor}.${sweep.recommended === null ? '' : ' Framed: the chosen cell, the highest score at a positive strength that stays coherent.'}${fine}</p>`;
}

function heatTable(sweep: Sweep, cells: readonly Cell[]): SafeHtml {
  const strengths = [...new Set(cells.map(({ strength }) => strength))].sort((a, b) => a - b);
  // Layers from the bottom up, as the text flows through them.
  const layers = [...new Set(cells.map(({ layer }) => layer!))].sort((a, b) => b - a);
  const at = (layer: number, strength: number): Cell | undefined =>
    cells.find((cell) => cell.layer === layer && cell.strength === strength);
  return html`<div class="scroll"><table class="heat"><thead><tr><th>layer</th>${strengths.map((strength) => html`<th>${signed(strength)}</th>`)}</tr></thead>
<tbody>${layers.map((layer) => html`<tr><th>${layer}</th>${strengths.map((strength) => heatCell(sweep, at(layer, strength)))}</tr>`)}</tbody></table></div>`;
}

function heatCell(sweep: Sweep, cell: Cell | undefined): SafeHtml {
  if (cell === undefined) return html`<td></td>`;
  const { score, coherence, lower, upper } = cell;
  const change = (score ?? 50) - (sweep.zero.score ?? 50);
  const best = sweep.recommended?.condition === cell.condition;
  const broken = (coherence ?? 0) < sweep.coherence_floor;
  const names = [change >= 0 ? 'up' : 'down', ...(best ? ['best'] : []), ...(broken ? ['broken'] : [])];
  // 40 points away from the unsteered score is the full colour.
  const depth = Math.min(1, Math.abs(change) / 40);
  const title = `score ${fixed(score)} (${fixed(lower)} to ${fixed(upper)}), coherence ${fixed(coherence)}, ${cell.rollouts} texts`;
  return html`<td class="${names.join(' ')}" style="--depth:${depth.toFixed(2)}" title="${title}">${fixed(score, 0)}<small>${fixed(coherence, 0)}</small></td>`;
}
