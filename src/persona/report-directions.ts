import type { Directions } from '../store/result-schema.ts';
import { type SafeHtml, fixed, html } from '../util/html.ts';

/** Cosine of the other directions with the difference of means, layer by layer. */
export function directionsSection(found: Directions | null): SafeHtml | null {
  if (found === null) return null;
  const layers = found.directions[0]?.cosines.map((_, layer) => layer) ?? [];
  return html`<h2>Other directions</h2>
<p class="lead">The same activations (<code>${found.pooling}</code>) give other directions, which lie beside the vector in its file. Cosine with the difference of means, which is the vector; in brackets ${found.directions.map(({ kind }) => meanings[kind]).join('; ')}. A direction that tells texts apart need not steer.</p>
<figure class="scroll"><table class="plain"><thead><tr><th class="number">layer</th>${found.directions.map(({ kind }) => html`<th class="number">${names[kind]}</th>`)}</tr></thead>
<tbody>${layers.map(
    (layer) =>
      html`<tr><td class="number">${layer}</td>${found.directions.map((direction) => cell(direction, layer))}</tr>`,
  )}</tbody></table></figure>`;
}

type Found = Directions['directions'][number];

const names: Readonly<Record<Found['kind'], string>> = {
  pca: 'principal component',
  probe: 'logistic probe',
};
const meanings: Readonly<Record<Found['kind'], string>> = {
  pca: 'of the component, the share of the variation along it',
  probe: 'of the probe, the share of its own texts on the right side',
};

function cell({ cosines, quality, converged }: Found, layer: number): SafeHtml {
  const share = quality[layer] ?? null;
  const percent = share === null ? '' : ` (${fixed(100 * share, 0)} %)`;
  return html`<td class="number">${fixed(cosines[layer] ?? null, 3)}${percent}${converged[layer] === false ? ', not converged' : ''}</td>`;
}
