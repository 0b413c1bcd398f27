import { basename } from 'node:path';
import { PersonaError } from '../errors.ts';
import type { FoundScreen } from '../store/screens/find-screens.ts';
import type { ScoreOrder } from '../store/screens/score-order.ts';
import type { ScoredRow } from '../store/screens/scored-row.ts';
import type { RowChoice, ScreenLibrary } from '../store/screens/screen-library.ts';
import { roundRange } from '../util/chart.ts';
import { nearestName } from '../util/nearest.ts';
import { HttpFailure } from './failure.ts';
import type {
  HistogramQuery,
  ScreenDetail,
  ScreenExportQuery,
  ScreenHistogram,
  ScreenItem,
  ScreenList,
  ScreenRowItem,
  ScreenRows,
  ScreenRowsQuery,
  ScreenRowText,
} from './screen-api.ts';

const pageLength = 50;
const binCount = 80;
const mostSources = 50;
/** Files of a screening that a list names. */
const mostNamed = 3;
/** Characters of a text in a page of rows. */
const previewLength = 240;

/** The screenings of a library as resources. */
export class ScreenResources {
  private readonly library: ScreenLibrary;

  constructor(library: ScreenLibrary) {
    this.library = library;
  }

  async list(): Promise<ScreenList> {
    return { data: (await this.library.list()).map(toItem) };
  }

  async get(id: string): Promise<ScreenDetail> {
    const screen = await this.find(id);
    const { schema_of_rows: readAs, files, counts, traits } = screen.manifest;
    return {
      ...toItem(screen),
      read_as: readAs,
      files,
      counts,
      traits: traits.map(({ name, layer, difference, threshold, flagged, judge, quantiles, sources }) => ({
        name,
        layer,
        difference,
        lowest: quantiles[0] ?? threshold,
        highest: quantiles.at(-1) ?? threshold,
        threshold,
        flagged,
        judge: judge === null ? null : { id: judge.id, threshold: judge.threshold },
        sources: sources.toSorted((a, b) => b.samples - a.samples).slice(0, mostSources),
      })),
    };
  }

  async histogram(id: string, { trait, bins = binCount }: HistogramQuery): Promise<ScreenHistogram> {
    const screen = await this.find(id);
    checkTrait(screen, trait);
    const order = await this.reading(screen, () => this.library.order(screen, trait));
    const edges = edgesOf(order.values.at(-1) ?? 0, order.values[0] ?? 0, bins);
    return { trait, rows: order.rows.length, edges, counts: order.countsBetween(edges) };
  }

  async rows(id: string, query: ScreenRowsQuery): Promise<ScreenRows> {
    const screen = await this.find(id);
    const { show = 'all', order: first = 'high', offset = 0, limit = pageLength } = query;
    const choice = { ...choiceOf(screen, query), show };
    return this.reading(screen, async () => {
      const order = await this.library.order(screen, choice.trait);
      const flagged = order.countFrom(choice.threshold);
      const chosen = chosenOf(order, flagged, show);
      const places = pageOf(chosen, first, offset, limit);
      const rows = await this.library.rows(screen, places, order.rows.length);
      return { rows: order.rows.length, flagged, total: chosen.length, data: rows.map(toRow) };
    });
  }

  async row(id: string, text: string): Promise<ScreenRowText> {
    const screen = await this.find(id);
    return this.reading(screen, async () => {
      const count = await this.count(screen);
      const place = /^\d{1,9}$/.test(text) ? Number(text) : count;
      if (place >= count)
        throw new HttpFailure(404, `expected a row from 0 to ${count - 1}`, { code: 'unknown_row' });
      const [row] = await this.library.rows(screen, [place], count);
      return { ...factsOf(row!), messages: [...row!.messages], base_reply: row!.baseReply };
    });
  }

  /** The lines of an export, and the name of the file that they make. */
  async export(
    id: string,
    query: ScreenExportQuery,
  ): Promise<{ readonly name: string; readonly pieces: AsyncGenerator<Uint8Array> }> {
    const screen = await this.find(id);
    const choice = { ...choiceOf(screen, query), show: query.show };
    // What cannot be read is refused before the answer begins.
    await this.reading(screen, async () => {
      const { rows } = await this.library.order(screen, choice.trait);
      await this.library.rows(screen, [], rows.length);
    });
    return {
      name: `${screen.id}-${query.show}.jsonl`,
      pieces: this.library.export(screen, choice, query.form ?? 'training'),
    };
  }

  private async find(id: string): Promise<FoundScreen> {
    const found = await this.library.get(id);
    if (found !== null) return found;
    throw new HttpFailure(404, `found no screening ${JSON.stringify(id.slice(0, 100))}`, {
      code: 'unknown_screen',
    });
  }

  private async count(screen: FoundScreen): Promise<number> {
    const [first] = screen.manifest.traits;
    return first === undefined ? 0 : (await this.library.order(screen, first.name)).rows.length;
  }

  /** Where the files lie is nobody's business. */
  private async reading<T>(screen: FoundScreen, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PersonaError)) throw error;
      const message = error.message.replaceAll(screen.folder, screen.name);
      throw new HttpFailure(409, message, { code: 'unreadable_screen' });
    }
  }
}

function toItem({ id, name, manifest }: FoundScreen): ScreenItem {
  const { model, mode, counts, traits, files } = manifest;
  return {
    id,
    name,
    model: model.id,
    mode,
    rows: counts['samples'] ?? 0,
    flagged: counts['flagged'] ?? 0,
    traits: traits.map((trait) => trait.name),
    data: files.slice(0, mostNamed).map((file) => basename(file)),
  };
}

function choiceOf(
  screen: FoundScreen,
  { trait, threshold }: { readonly trait: string; readonly threshold?: number },
): Pick<RowChoice, 'trait' | 'threshold'> {
  return { trait, threshold: threshold ?? checkTrait(screen, trait) };
}

/** The screening's own threshold of a trait; HttpFailure 400 for a trait that it does not have. */
function checkTrait({ manifest: { traits } }: FoundScreen, name: string): number {
  const found = traits.find((trait) => trait.name === name);
  if (found !== undefined) return found.threshold;
  const names = traits.map((trait) => trait.name);
  const nearest = nearestName(name, names);
  const hint = nearest === null ? `it has ${names.join(', ')}` : `did you mean ${JSON.stringify(nearest)}?`;
  throw new HttpFailure(400, `the screening has no trait ${JSON.stringify(name.slice(0, 100))}; ${hint}`, {
    code: 'unknown_trait',
    param: 'trait',
  });
}

/** Round numbers that hold all values, about so many steps apart. */
function edgesOf(low: number, high: number, bins: number): number[] {
  const [from, end, step] = roundRange(low, high);
  const to = end > from ? end : from + step;
  const steps = Math.round((to - from) / step);
  const count = steps * Math.max(1, Math.round(bins / steps));
  return Array.from({ length: count + 1 }, (_, i) => from + (i / count) * (to - from));
}

function chosenOf(order: ScoreOrder, flagged: number, show: RowChoice['show']): Uint32Array {
  if (show === 'all') return order.rows;
  return show === 'flagged' ? order.rows.subarray(0, flagged) : order.rows.subarray(flagged);
}

/** Places of one page's rows in the file. */
function pageOf(chosen: Uint32Array, first: 'high' | 'low', offset: number, limit: number): Uint32Array {
  if (first === 'high') return chosen.subarray(offset, offset + limit);
  const end = Math.max(0, chosen.length - offset);
  return chosen.slice(Math.max(0, end - limit), end).reverse();
}

function factsOf({
  row,
  id,
  source,
  scoredBy,
  tokens,
  scores,
}: ScoredRow): Omit<ScreenRowText, 'messages' | 'base_reply'> {
  return { row, id, source, scored_by: scoredBy, tokens, scores };
}

function toRow(row: ScoredRow): ScreenRowItem {
  const [prompt, reply] = [row.messages.at(-2)?.content ?? '', row.messages.at(-1)!.content];
  return { ...factsOf(row), prompt: beginning(prompt), reply: beginning(reply) };
}

/** Without half of a character at its end. */
function beginning(text: string): string {
  return text.slice(0, previewLength).replace(/[\uD800-\uDBFF]$/, '');
}
