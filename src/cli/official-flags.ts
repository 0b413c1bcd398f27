/** A command's flags under the names that the paper's authors gave them. */
interface OfficialFlags {
  /** Theirs and ours. */
  readonly renamed: Readonly<Record<string, string>>;
  /** Theirs for what is an argument here, in the order of the arguments. */
  readonly positional: readonly string[];
}

/** Of generate_vec.py and eval_persona.py, which are in many a shell's history. */
const official: Readonly<Record<string, OfficialFlags>> = {
  extract: {
    renamed: {
      '--pos_path': '--pos',
      '--neg_path': '--neg',
      '--save_dir': '--out',
      '--n_per_question': '--samples',
      '--max_tokens': '--max-tokens',
    },
    positional: ['--model_name', '--trait'],
  },
};

/** A command line in which the authors' flag names have become this program's. */
export function translateOfficialFlags(args: readonly string[]): string[] {
  const known = official[args[0] ?? ''];
  if (known === undefined) return [...args];
  const positional = new Map<string, string>();
  const rest: string[] = [];
  for (let i = 1; i < args.length; i++) {
    const [, flag = '', value] = /^(--\w+)(?:=([^]*))?$/.exec(args[i]!) ?? [];
    if (known.positional.includes(flag)) positional.set(flag, value ?? args[++i] ?? '');
    else if (known.renamed[flag] === undefined) rest.push(args[i]!);
    else rest.push(known.renamed[flag], ...(value === undefined ? [] : [value]));
  }
  const given = known.positional.flatMap((flag) => positional.get(flag) ?? []);
  return [args[0]!, ...given, ...rest];
}
