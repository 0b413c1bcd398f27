import { type SafeHtml, html } from '../../util/html.ts';
import { reportPage, tile } from '../../util/report-page.ts';
import { plainTable } from '../../util/report-tables.ts';
import type { Comparison, Verdict } from './compare.ts';
import type { PartOutcome, PartOutcomes, Reproduction } from './outcome.ts';
import { type PartName, partNames, partPlan } from './parts.ts';
import { finetuningFigures, mitigationFigures, screeningFigures } from './report-models.ts';
import { extractionFigures, monitoringFigures, poolingFigures, steeringFigures } from './report-vectors.ts';

/** What of the paper this command does not do, and why. */
const notReproduced: readonly (readonly [what: string, why: string])[] = [
  [
    'Section 5: acquisition of new facts; domain skills kept; benign data',
    'needs facts that are newer than the model, and data sets of its own.',
  ],
  [
    'Section 6.3: LMSYS-Chat-1M, Tulu 3, UltraChat-200k, WildChat',
    'these are downloads of their own; persona screen reads them as they are. Here the same is done with the data sets of the grid.',
  ],
  [
    'Appendix K: filters by a language model, by the difference, and by both',
    'persona screen --judge --reference flags by that rule; training on what is left is not part of this command.',
  ],
  [
    'Appendices B.2 and B.3: the judge against people and against other benchmarks',
    'needs people, and those benchmarks.',
  ],
  [
    'Appendix M: sparse autoencoders',
    'needs an autoencoder of the model; persona vector features ranks its features.',
  ],
];

/** A reproduction as one HTML page, in the order of the paper. */
export function renderReproduction(result: Reproduction): string {
  const { about, comparisons } = result;
  return reportPage({
    title: `Persona vectors on ${about.model}`,
    overline: `Reproduction · ${about.model}`,
    heading: 'Persona vectors',
    body: html`<p class="lead">The experiments of Chen, Arditi, Sleight, Evans and Lindsey, Persona Vectors (arXiv 2507.21509), on ${about.model}: a figure or table for each of theirs, and their numbers beside ours where they are known. ${about.quick ? 'With the quick settings, which are below: few questions and replies, so that intervals are wide, and a range is easily met.' : ''}</p>
${tiles(result)}
<h2>In short</h2>
<p class="lead">Every verdict is made by the rule that is given beside it, in the tables below each section. “The paper” is a model of 7 to 8 billion parameters and a language model as judge, so equal numbers are not to be expected; signs and orders are.</p>
<figure class="scroll">${summaryTable(result)}</figure>
${partNames.map((part) => section(part, result))}
<h2>Not reproduced</h2>
<figure class="scroll">${plainTable(['what', 'why'], notReproduced, 2)}</figure>
<h2>Settings</h2>
<figure class="scroll">${settingsTable(result)}</figure>
<footer>${about.package}. All numbers of this page lie beside it in results.json${comparisons.length === 0 ? '' : `, the ${comparisons.length} comparisons among them`}; every experiment has a folder of its own with its texts and reports.</footer>`,
  });
}

function count(comparisons: readonly Comparison[], verdict: Verdict): number {
  return comparisons.filter((one) => one.verdict === verdict).length;
}

function tiles({ about, comparisons, parts }: Reproduction): SafeHtml {
  const decided = comparisons.length - count(comparisons, 'open');
  const outcomes = Object.values(parts) as PartOutcome[];
  const done = outcomes.filter(({ status }) => status === 'done').length;
  const seconds = outcomes.reduce((sum, one) => sum + (one.status === 'done' ? one.seconds : 0), 0);
  return html`<dl class="tiles">
${tile('Comparisons that agree', decided === 0 ? '–' : `${count(comparisons, 'agrees')} of ${decided}`, `by stated rules; ${count(comparisons, 'open')} could not be made`)}
${tile('Experiments', `${done} of ${outcomes.length}`, `${about.quick ? 'quick settings' : 'full settings'}, seed ${about.seed}, in ${(seconds / 60).toFixed(1)} minutes`)}
${tile('Judge', about.judge, `${about.precision}; read at layer ${about.layer} of ${about.layers}`)}
</dl>`;
}

function summaryTable({ parts, sentences, comparisons }: Reproduction): SafeHtml {
  return plainTable(
    ['experiment', 'of the paper', 'what agrees and what does not', 'agree'],
    partNames.map((part) => {
      const { title, stands } = partPlan(part);
      const own = comparisons.filter((one) => one.part === part);
      const decided = own.length - count(own, 'open');
      return [
        html`<a href="#${part}">${title}</a>`,
        stands,
        sentences[part] ?? statusText(parts[part]),
        decided === 0 ? '–' : `${count(own, 'agrees')} of ${decided}`,
      ];
    }),
    3,
  );
}

function statusText(outcome: PartOutcome): string {
  if (outcome.status === 'failed') return `Not run: ${outcome.reason}`;
  return { done: '', 'to come': 'Not run yet.', 'left out': 'Not asked for.' }[outcome.status];
}

function section(part: PartName, { parts, about, comparisons, sentences }: Reproduction): SafeHtml {
  const { title, stands } = partPlan(part);
  const outcome: PartOutcome = parts[part];
  const head = html`<h2 id="${part}">${title}</h2>
<p class="note">${stands}</p>`;
  if (outcome.status !== 'done') return html`${head}<p class="note">${statusText(outcome)}</p>`;
  return html`${head}
${outcome.failures.length === 0 ? null : html`<ul class="note">${outcome.failures.map(({ trait, reason }) => html`<li>${trait}: not run. ${reason}</li>`)}</ul>`}
${figures(part, parts, about.layers)}
<p>${sentences[part] ?? ''}</p>
${comparisonTable(comparisons.filter((one) => one.part === part))}`;
}

function figures(part: PartName, parts: PartOutcomes, layers: number): SafeHtml | null {
  const dataOf = <P extends PartName>(name: P) => {
    const outcome = parts[name];
    return outcome.status === 'done' ? outcome.data : null;
  };
  const drawn = <T>(data: T | null, draw: (data: T) => SafeHtml): SafeHtml | null =>
    data === null ? null : draw(data);
  switch (part) {
    case 'extraction':
      return drawn(dataOf(part), (data) => extractionFigures(data, layers));
    case 'poolings':
      return drawn(dataOf(part), poolingFigures);
    case 'steering':
      return drawn(dataOf(part), steeringFigures);
    case 'monitoring':
      return drawn(dataOf(part), monitoringFigures);
    case 'finetuning':
      return drawn(dataOf(part), finetuningFigures);
    case 'mitigation':
      return drawn(dataOf(part), mitigationFigures);
    case 'screening':
      return drawn(dataOf(part), screeningFigures);
    default:
      return part satisfies never;
  }
}

const verdictNames: Readonly<Record<Verdict, string>> = {
  agrees: 'agrees',
  differs: 'differs',
  open: 'cannot be said',
};

function comparisonTable(comparisons: readonly Comparison[]): SafeHtml | null {
  if (comparisons.length === 0) return null;
  const rows = comparisons.map(({ trait, subject, ours, paper, by, source, rule, verdict }) => [
    trait === null ? subject : `${trait}: ${subject}`,
    ours,
    `${paper} (${source}${by === 'paper' ? '' : `, ${by}`})`,
    rule,
    verdictNames[verdict],
  ]);
  return html`<details><summary>Every comparison, and its rule</summary><div class="scroll">${plainTable(['what', 'here', 'there', 'rule', 'verdict'], rows, 5)}</div></details>`;
}

function settingsTable({ about }: Reproduction): SafeHtml {
  const rows = Object.entries(about.settings).map(([name, value]) => [
    name.replaceAll('_', ' '),
    plain(value),
  ]);
  return plainTable(['experiment', 'settings'], rows, 2);
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join(', ');
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, inner]) => `${name.replaceAll('_', ' ')} ${plain(inner)}`)
      .join(' · ');
  return value === null ? 'its own' : typeof value === 'string' ? value : JSON.stringify(value);
}
