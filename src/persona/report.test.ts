import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeTrait } from '../../test/helpers/fake-model.ts';
import { filterPairs } from './filter.ts';
import { planDoseResponse } from './dose-response.ts';
import type { PlannedRollout } from './rollouts.ts';
import { type ReportData, renderReport } from './report.ts';
import { SafeHtml, escapeHtml, fixed, html, signed } from '../util/html.ts';
import { planSweep } from './sweep.ts';
import { type ProjectedRollout, summariseHeldOut } from './held-out.ts';
import type { Validation } from './validation-steps.ts';
import { parseTrait } from './trait.ts';
import { PersonaVector } from './vector.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';

const hostile = `"><script>alert('1')</script><img src=x onerror=alert(2)>&amp;\u0000\u202E`;

/** A report about made-up numbers, in which every text from outside is `text`. */
function reportOf(text: string, options: { readonly measured: boolean } = { measured: true }): string {
  const trait = parseTrait(
    { ...fakeTrait, name: text, opposite: text, description: text, evaluation_questions: [text, `${text}?`] },
    '',
  );
  const vector = new PersonaVector(2, 2, Float32Array.of(0, 1, 2, 3, 4, 5), {
    trait: text,
    model: text,
    modelRevision: null,
    modelFingerprint: '',
    pooling: 'response_mean',
    method: 'difference_of_means',
    pairsKept: 1,
    pairsTotal: 2,
    threshold: 50,
    residualNorms: [1, 2, 3],
    recommendedLayer: 1,
    recommendedStrength: 1,
  });
  const common = { unit: 'fraction', positions: 'response', coherenceFloor: 75, seed: 0 } as const;
  const sweep = planSweep({ pos: [text], neg: [text] }, vector, [{ index: 0, text }], {
    ...common,
    layers: [1, 2],
    strengths: [-1, 1],
    samples: 1,
  });
  const dose = planDoseResponse(vector, [{ index: 1, text }], {
    ...common,
    layer: 1,
    chosen: 0.5,
    strengths: [-1, 0, 1],
    samples: 1,
    randomDirections: 3,
    randomSamples: 1,
  });
  const rowsOf = (rollouts: readonly PlannedRollout[]): ScoredRollout[] =>
    rollouts.map((planned, i) => ({
      ...planned,
      text: `${text} happy sad`,
      prompt_tokens: 1,
      response_ids: [1],
      finish_reason: 'stop',
      scores: { trait: (i * 37) % 101, coherence: (i * 53) % 101, raw: null },
    }));
  const [sweepRows, doseRows] = [rowsOf(sweep.rollouts), rowsOf(dose.rollouts)];
  const rollout = (i: number): ProjectedRollout => ({
    pole: i % 2 === 0 ? 'pos' : 'neg',
    question: i % 3,
    score: 10 * i,
    projections: [null, i, -i],
  });
  const heldOut = summariseHeldOut([0, 1, 2, 3, 4, 5, 6, 7].map(rollout), {
    pooling: text,
    questions: [0, 1],
    samples: 1,
    shownLayer: 1,
  });
  const nothing: Validation = {
    pooling: text,
    positions: text,
    sweep: null,
    sweepRows: [],
    dose: null,
    doseRows: [],
    heldOut: null,
  };
  const measured: Validation = {
    ...nothing,
    sweep: sweep.summarise(sweepRows.map(({ scores }) => scores)),
    sweepRows,
    dose: dose.summarise(doseRows.map(({ scores }) => scores)),
    doseRows,
    heldOut,
  };
  const data: ReportData = {
    trait,
    vector,
    counts: filterPairs([{ key: 'a', positive: undefined, negative: undefined }], {
      mode: 'paired',
      threshold: 50,
      coherence: 50,
    }).counts,
    directions: {
      pooling: text,
      paired: true,
      directions: [
        {
          kind: 'pca',
          tensor: text,
          cosines: [null, 0.5, 1],
          quality: [null, 0.25, 0.5],
          converged: [true, true, false],
        },
      ],
    },
    validation: options.measured ? measured : nothing,
    beside: options.measured ? [{ vector, validation: measured }] : [],
    cosines: {
      layer: 1,
      names: [text, text],
      values: [
        [1, null],
        [-0.5, 1],
      ],
    },
    judge: text,
    recipe: { judge: text, nested: { list: [text, 1], nothing: null } },
    package: { name: 'persona-vectors', version: '0.0.0' },
  };
  return renderReport(data);
}

/** Element names of a page, in which no attribute holds a "<". */
const elements = (page: string): Set<string> =>
  new Set([...page.matchAll(/<([a-z0-9]+)/g)].map((match) => match[1]!));

describe('renderReport', () => {
  it('escapes every text from outside', () => {
    const page = reportOf(hostile);
    expect(page).not.toContain(hostile);
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<img');
    expect(page).not.toContain('\u0000');
    expect(page).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;');
  });

  it('is made of the same elements whatever the texts are', () => {
    const expected = elements(reportOf('plain'));
    const text = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }).filter((s) => s.trim() !== '');
    fc.assert(
      fc.property(text, (inserted) => {
        expect(elements(reportOf(inserted))).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });

  it('asks for nothing from elsewhere and runs nothing', () => {
    const page = reportOf('plain');
    expect(page).not.toMatch(/https?:|\/\/|url\(|@import|\ssrc=|href=|\son[a-z]+=/);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  it('shows texts by strength with the words that the judge counts', () => {
    const page = reportOf('plain');
    expect(page).toContain('<mark class="pos">happy</mark> <mark class="neg">sad</mark>');
    const names = [...page.matchAll(/<header><b>([^<]*)<\/b>/g)].map((match) => match[1]);
    expect(names).toEqual(['−2', '−1', 'unsteered', '+1', '+2']);
  });

  it('says that nothing was measured, where nothing was', () => {
    const page = reportOf('plain', { measured: false });
    expect(page).toContain('whether it steers plain was not measured');
    expect(page).not.toContain('Dose response');
  });

  it('is a page of well-nested elements with numbers in every drawing', () => {
    const page = reportOf('plain').replace(/<style>.*<\/style>/s, '');
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
    const open: string[] = [];
    const wrong: string[] = [];
    for (const [tag, close, name, self] of page.matchAll(/<(\/?)([a-z0-9]+)[^>]*?(\/?)>/g)) {
      if (name === 'meta' || self === '/') continue;
      if (close === '') open.push(name!);
      else if (open.pop() !== name) wrong.push(tag);
    }
    expect(wrong).toEqual([]);
    expect(open).toEqual([]);
  });
});

describe('html', () => {
  it('escapes strings, keeps its own kind, joins lists and leaves out null', () => {
    const inner = html`<b>${'a<b'}</b>`;
    expect(html`<p>${[inner, ' & ', 3, null]}</p>`.text).toBe('<p><b>a&lt;b</b> &amp; 3</p>');
    expect(new SafeHtml('<i>').text).toBe('<i>');
  });

  it('leaves nothing that ends a text or a quoted attribute', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(escapeHtml(text)).not.toMatch(/[<>"'`]/);
      }),
    );
  });
});

describe('numbers', () => {
  it('are written for people', () => {
    expect([fixed(-0.04), fixed(-1.25, 2), fixed(null), fixed(12, 0)]).toEqual(['0.0', '−1.25', '–', '12']);
    expect([signed(0), signed(1.5), signed(-0.1)]).toEqual(['0', '+1.5', '−0.1']);
  });
});
