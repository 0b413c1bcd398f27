import type { Cell } from '../store/result-schema.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import { type SafeHtml, fixed, html, signed } from '../util/html.ts';
import type { ReportData } from './report.ts';
import type { Lexicon } from './trait.ts';

/** Openings shown; each is followed by one text per strength. */
const OPENINGS = 2;

/** Characters of a text that are shown: one that does not stop would hide the others. */
const SHOWN_CHARACTERS = 420;

/** One layer's texts, by strength. */
interface Shown {
  readonly layer: number;
  readonly cells: readonly Cell[];
  readonly far: readonly Cell[];
  readonly rows: readonly ScoredRollout[];
  readonly questions: readonly number[];
}

/**
 * The same openings and random numbers at every strength of one layer, side by side, and far beyond where the text
 * breaks. The texts are the first sample of the first questions, not chosen by hand.
 */
export function transcriptSection(data: ReportData): SafeHtml | null {
  const shown = chooseTexts(data);
  if (shown === null) return null;
  const { trait } = data;
  const rows = new Map(shown.rows.map((row) => [row.key, row]));
  const cells = [...shown.cells, ...shown.far].sort((a, b) => a.strength - b.strength);
  return html`<h2>What it reads like</h2>
<p class="lead">Layer ${shown.layer}. The same opening and the same random numbers at every strength: what differs, differs because of the vector. First samples, not chosen.${shown.far.length === 0 ? '' : ' The outermost (beyond) go twice as far as the dose response, to show what too much does.'} Texts are cut after ${SHOWN_CHARACTERS} characters (⋯).${trait.lexicon === null ? '' : ' Words that the lexical judge counts are underlined: straight for the trait, wavy against it.'}</p>
${shown.questions.slice(0, OPENINGS).map((question) => {
  const texts = cells.flatMap((cell) => {
    const row = rows.get(`${cell.condition}/${question}/0`);
    return row === undefined ? [] : [card(row, cell, shown.far.includes(cell), trait.lexicon)];
  });
  return html`<h3><bdi class="opening">${trait.evaluationQuestions[question] ?? ''}</bdi></h3><div class="texts">${texts}</div>`;
})}`;
}

/** Those of the dose response, which has more strengths; else those of the sweep at its layer. */
function chooseTexts({ validation }: ReportData): Shown | null {
  const { dose, doseRows, sweep, sweepRows } = validation;
  if (dose !== null) {
    return {
      layer: dose.layer,
      cells: dose.points,
      far: dose.beyond,
      rows: doseRows,
      questions: dose.questions,
    };
  }
  if (sweep === null) return null;
  const cells = [sweep.zero, ...sweep.trait.filter(({ layer }) => layer === sweep.layer)];
  return { layer: sweep.layer, cells, far: [], rows: sweepRows, questions: sweep.questions };
}

function card(row: ScoredRollout, cell: Cell, far: boolean, lexicon: Lexicon | null): SafeHtml {
  const { trait, coherence } = row.scores;
  const name = cell.strength === 0 ? 'unsteered' : signed(cell.strength);
  const kind = cell.strength === 0 ? ' zero' : far ? ' far' : '';
  return html`<article class="text${kind}"><header><b>${name}</b><span>${far ? 'beyond · ' : null}score ${fixed(trait, 0)} · coherence ${fixed(coherence, 0)}</span></header><p><bdi>${markWords(cut(row.text.trim()), lexicon)}</bdi></p></article>`;
}

/** Cut at a blank, where there is one. */
function cut(text: string): string {
  if (text.length <= SHOWN_CHARACTERS) return text;
  return `${text.slice(0, SHOWN_CHARACTERS + 1).replace(/\s+\S*$/, '')} ⋯`;
}

/** The text with the judge's words marked; every piece is escaped on its own. */
function markWords(text: string, lexicon: Lexicon | null): readonly (SafeHtml | string)[] {
  if (lexicon === null) return [text];
  const [positive, negative] = [new Set(lexicon.positive), new Set(lexicon.negative)];
  // The capturing group keeps the words among the pieces.
  return text.split(/(\p{L}[\p{L}\p{M}]*(?:['’-]\p{L}[\p{L}\p{M}]*)*)/u).map((piece) => {
    const word = piece.toLowerCase().replaceAll('’', "'");
    if (positive.has(word)) return html`<mark class="pos">${piece}</mark>`;
    return negative.has(word) ? html`<mark class="neg">${piece}</mark>` : piece;
  });
}
