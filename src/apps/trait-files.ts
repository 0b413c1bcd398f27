import { resolve } from 'node:path';
import type { LoadOptions } from '../engine/model.ts';
import { UsageError } from '../errors.ts';
import { reviewArtifacts } from '../persona/artifacts/check-artifacts.ts';
import { writeArtifacts } from '../persona/artifacts/write-artifacts.ts';
import { openProvider } from '../persona/providers/open-provider.ts';
import { type Trait, loadTrait } from '../persona/trait.ts';
import { traitSet } from '../persona/trait-set.ts';
import { isThere, writeJson } from '../store/files.ts';
import { shippedTraits } from '../store/shipped-traits.ts';
import { defined } from '../util/defined.ts';
import type { Patience } from '../util/http/retry.ts';

/** A shipped trait in a line. */
export interface ListedTrait {
  readonly set: string;
  readonly name: string;
  readonly opposite: string | null;
  readonly questions: number;
  readonly file: string;
}

/** A trait file and what is to be said of it. */
export interface CheckedTrait {
  /** Absolute. */
  readonly file: string;
  readonly trait: {
    readonly name: string;
    readonly opposite: string | null;
    readonly pairs: number;
    readonly questions: number;
    readonly evaluationQuestions: number;
    /** Kinds of judges that can score its replies. */
    readonly judges: readonly string[];
    readonly sha256: string;
  };
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
}

export interface NewTraitOptions {
  readonly name: string;
  readonly description: string;
  /** As `--with` spells it. */
  readonly provider: string;
  /** Default: `<name>.json`. */
  readonly out?: string | undefined;
  /** Replace a file that is there. */
  readonly force: boolean;
  /** How a local provider's model is loaded. */
  readonly load?: LoadOptions;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly patience?: Patience;
  /** For tests: where a provider's own address leads instead. */
  readonly base?: string;
}

/** The shipped traits of a set, or of all; UsageError for a set that is not there. */
export async function listTraits(set?: string): Promise<ListedTrait[]> {
  const shipped = set === undefined ? await shippedTraits() : await traitSet({ set });
  return Promise.all(
    shipped.map(async ({ set: of, file }) => {
      const { name, opposite, questions, evaluationQuestions } = await loadTrait(file);
      return { set: of, name, opposite, questions: questions.length + evaluationQuestions.length, file };
    }),
  );
}

/** Reviews a trait file; ParseError where it is none. */
export async function checkTraitFile(file: string): Promise<CheckedTrait> {
  return describe(file, await loadTrait(file));
}

/**
 * Has a language model write a trait file. Nothing is written unless all of it can be used.
 *
 * @throws UsageError where the file is there already; what `writeArtifacts` and the provider throw.
 */
export async function newTrait(options: NewTraitOptions): Promise<CheckedTrait> {
  const { name, description, environment, patience, base, onNote, signal } = options;
  const out = options.out ?? `${fileName(name)}.json`;
  if (!options.force && (await isThere(out))) {
    throw new UsageError(
      `Expected no file at "${out}" yet, got one; choose another with --out, or replace it with --force.`,
      {
        details: { file: out },
      },
    );
  }
  const limits = { concurrency: 1 };
  const common = defined({ environment, patience, base, load: options.load });
  const provider = await openProvider(options.provider, { limits, onNote, ...common });
  try {
    const trait = await writeArtifacts({ name, description, provider, signal, ...defined({ onNote }) });
    await writeJson(out, trait.source);
    return describe(out, trait);
  } finally {
    await provider.close();
  }
}

/** A trait may be called anything; a file of its name may not. */
function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N}_-]+/gu, '-');
}

function describe(file: string, trait: Trait): CheckedTrait {
  const { name, opposite, instructions, questions, evaluationQuestions, sha256 } = trait;
  const judges = [
    ...(trait.evalPrompt === null ? [] : ['a language model']),
    ...(trait.lexicon === null && trait.world === null ? [] : ['lexical']),
  ];
  return {
    file: resolve(file),
    trait: {
      name,
      opposite,
      pairs: instructions.length,
      questions: questions.length,
      evaluationQuestions: evaluationQuestions.length,
      judges,
      sha256,
    },
    ...reviewArtifacts(trait),
  };
}
