/** `weft completion`: what a shell needs to complete verbs and options. Made from the table of verbs. */
import { parseOptions } from './options.ts';
import { EXIT, UsageError, type Verb } from './types.ts';
import { verbNames, verbs } from './verbs.ts';

/** The options that a usage text lists, `--node` and `-n` alike. */
export const optionsIn = (usage: string): readonly string[] =>
  [...new Set([...usage.matchAll(/(?<![\w-])(--?[a-z][a-z-]*)/g)].map(m => m[1] as string))].sort();

type Words = ReadonlyMap<string, { readonly summary: string; readonly options: readonly string[] }>;

async function words(): Promise<Words> {
  const all = await Promise.all(Object.values(verbs).map(load => load()));
  return new Map(all.map(({ name, summary, usage }) => [name, { summary, options: optionsIn(usage) }]));
}

const bash = (all: Words): string => `# weft completion bash > /etc/bash_completion.d/weft
_weft() {
  local word="\${COMP_WORDS[COMP_CWORD]}" verb="\${COMP_WORDS[1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=( $(compgen -W "${verbNames.join(' ')}" -- "$word") )
    return
  fi
  case "$verb" in
${[...all].map(([name, { options }]) => `    ${name}) COMPREPLY=( $(compgen -W "${options.join(' ')}" -- "$word") ) ;;`).join('\n')}
    help) COMPREPLY=( $(compgen -W "${[...all.keys()].join(' ')}" -- "$word") ) ;;
  esac
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=( $(compgen -f -- "$word") )
}
complete -F _weft weft kubectl-weft
`;

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const zsh = (all: Words): string => `#compdef weft kubectl-weft
# weft completion zsh > "\${fpath[1]}/_weft"
_weft() {
  local -a verbs
  verbs=(
${[...all].map(([name, { summary }]) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
    'help:all about one verb'
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  case "\${words[2]}" in
${[...all].map(([name, { options }]) => `    ${name}) compadd -- ${options.join(' ')}; _files ;;`).join('\n')}
    help) _describe verb verbs ;;
  esac
}
compdef _weft weft kubectl-weft
`;

const fishOption = (name: string, option: string): string => {
  const flag = option.startsWith('--') ? `-l ${option.slice(2)}` : `-s ${option.slice(1)}`;
  return `complete -c weft -n '__fish_seen_subcommand_from ${name}' ${flag}`;
};

const fish = (all: Words): string =>
  [
    '# weft completion fish > ~/.config/fish/completions/weft.fish',
    ...[...all].map(
      ([name, { summary }]) =>
        `complete -c weft -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
    ),
    ...[...all].flatMap(([name, { options }]) => options.map(option => fishOption(name, option))),
    '',
  ].join('\n');

const SHELLS: Readonly<Record<string, (all: Words) => string>> = { bash, zsh, fish };

export const completion: Verb = {
  name: 'completion',
  summary: 'completion of verbs and options for bash, zsh or fish',
  usage: `  {weft} completion bash|zsh|fish

  bash   source <({weft} completion bash)
  zsh    source <({weft} completion zsh)
  fish   {weft} completion fish | source`,
  run: async (args, io) => {
    const { positionals } = parseOptions(args, {}, { json: false });
    const [shell = ''] = positionals;
    const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
    if (make === undefined || positionals.length !== 1)
      throw new UsageError(`say a shell: ${Object.keys(SHELLS).join(', ')}`);
    io.out(make(await words()));
    return EXIT.ok;
  },
};
