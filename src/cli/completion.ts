import type { CommandUnknownOpts } from '@commander-js/extra-typings';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A command with what may follow it. */
interface Place {
  /** Words from the program's name on, each with a space before it; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly {
    readonly long: string;
    readonly description: string;
    readonly choices: readonly string[];
  }[];
}

/** A script that completes commands, flags and their choices in a shell; file names complete everywhere else. */
export function completionScript(program: CommandUnknownOpts, shell: Shell): string {
  const places = placesOf(program, '');
  if (shell === 'fish') return fishScript(program.name(), places);
  const script = bashScript(program.name(), places);
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

function placesOf(command: CommandUnknownOpts, path: string): Place[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const flags = options.flatMap(({ long, description, argChoices }) =>
    typeof long === 'string' ? [{ long, description, choices: argChoices ?? [] }] : [],
  );
  const own: Place = {
    path,
    commands: commands.map((one) => ({ name: one.name(), description: one.description() })),
    flags,
  };
  return [own, ...commands.flatMap((one) => placesOf(one, `${path} ${one.name()}`))];
}

function bashScript(name: string, places: readonly Place[]): string {
  const paths = places.flatMap(({ path }) => (path === '' ? [] : [quoted(path)]));
  const choices = places.flatMap(({ path, flags }) =>
    flags
      .filter((flag) => flag.choices.length > 0)
      .map((flag) => `    ${quoted(`${path}|${flag.long}`)}) words=${quoted(flag.choices.join(' '))} ;;`),
  );
  const words = places.map(
    ({ path, commands, flags }) =>
      `    ${quoted(path)}) commands=${quoted(commands.map((one) => one.name).join(' '))}; flags=${quoted(flags.map(({ long }) => long).join(' '))} ;;`,
  );
  return `_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  local path='' word words='' commands='' flags=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${paths.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path|$before" in
${choices.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [ "\${current#-}" != "$current" ]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [ -n "$commands" ]; then COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _${name} ${name}
`;
}

function fishScript(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, flags }) => {
    const seen = path.split(' ').slice(1);
    const here =
      seen.length === 0
        ? '__fish_use_subcommand'
        : seen.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const condition = `complete -c ${name} -n ${quoted(here)}`;
    return [
      ...commands.map((one) => `${condition} -f -a ${quoted(one.name)} -d ${quoted(one.description)}`),
      ...flags.map(
        ({ long, description, choices }) =>
          `${condition} -l ${long.slice(2)} -d ${quoted(description)}${choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : ''}`,
      ),
    ];
  });
  return `${lines.join('\n')}\n`;
}

/** For all three shells; what is quoted has no line breaks. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", "'\\''")}'`;
}
