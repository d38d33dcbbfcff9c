import { Argument, Command } from 'commander';
import { print } from './output.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

/** `troupe completion`: a script that completes commands and flags, made from the commands as they are. */
export function completionCommand(): Command {
  return new Command('completion')
    .description('print a completion script for your shell')
    .addArgument(new Argument('<shell>').choices(shells))
    .addHelpText(
      'after',
      `
Install it with one of:
  source <(troupe completion bash)
  source <(troupe completion zsh)
  troupe completion fish > ~/.config/fish/completions/troupe.fish`,
    )
    .action((shell: (typeof shells)[number], _options, command: Command) => {
      const words = wordsOf(command.parent ?? command);
      print(shell === 'fish' ? fishScript(words) : shell === 'zsh' ? zshScript(words) : bashScript(words));
    });
}

interface Words {
  /** The command's path, such as `config show`; empty for the program itself. */
  readonly path: string;
  readonly next: readonly { readonly word: string; readonly help: string }[];
}

function wordsOf(command: Command, path: readonly string[] = []): Words[] {
  const commands = command.commands.map((child) => ({
    word: child.name(),
    help: child.summary() || child.description(),
  }));
  const flags = [...command.options, ...command.createHelp().visibleOptions(command)]
    .filter((option) => option.long !== undefined && !option.hidden)
    .map((option) => ({ word: option.long ?? '', help: option.description }));
  const unique = new Map([...commands, ...flags].map((entry) => [entry.word, entry]));
  return [
    { path: path.join(' '), next: [...unique.values()] },
    ...command.commands.flatMap((child) => wordsOf(child, [...path, child.name()])),
  ];
}

/** Finds the longest known command path before the cursor; shared by bash and zsh, which both know `case`. */
function pathCases(words: readonly Words[], use: (entry: Words) => string): string {
  return words.map((entry) => `    '${entry.path}') ${use(entry)} ;;`).join('\n');
}

const pathLoop = (typed: string, words: readonly Words[]): string => `  local path='' word
  for word in ${typed}; do
    case "\${path:+$path }$word" in
      ${
        words
          .filter((entry) => entry.path !== '')
          .map((entry) => `'${entry.path}'`)
          .join('|') || "''"
      }) path="\${path:+$path }$word" ;;
    esac
  done`;

function bashScript(words: readonly Words[]): string {
  return `_troupe() {
${pathLoop(`"\${COMP_WORDS[@]:1:COMP_CWORD-1}"`, words)}
  local next=''
  case "$path" in
${pathCases(words, (entry) => `next='${entry.next.map(({ word }) => word).join(' ')}'`)}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _troupe troupe ./troupe`;
}

function zshScript(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`;
  const described = (entry: Words): string =>
    entry.next.map(({ word, help }) => `${quote(word).slice(0, -1)}:${quote(help).slice(1)}`).join(' ');
  return `#compdef troupe
_troupe() {
${pathLoop(`"\${(@)words[2,CURRENT-1]}"`, words)}
  local -a next
  case "$path" in
${pathCases(words, (entry) => `next=(${described(entry)})`)}
  esac
  _describe 'troupe' next || _files
}
compdef _troupe troupe ./troupe`;
}

function fishScript(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return words
    .flatMap(({ path, next }) => {
      const condition =
        path === ''
          ? '__fish_use_subcommand'
          : path
              .split(' ')
              .map((word) => `__fish_seen_subcommand_from ${word}`)
              .join('; and ');
      return next.map(({ word, help }) => {
        const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
        return `complete -c troupe -n ${quote(condition)} ${what} -d ${quote(help)}`;
      });
    })
    .join('\n');
}
