/** Command line → options. Each verb names its own; those for the way to the agents are everywhere the same. Pure. */
import { parseArgs } from 'node:util';
import { UsageError, type Where } from './types.ts';

type Kind = { readonly type: 'string' | 'boolean'; readonly short?: string };

const WHERE = {
  node: { type: 'string', short: 'n' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string' },
} as const satisfies Record<string, Kind>;

/** Part of every usage text whose verb asks agents. */
export const WHERE_USAGE = `  -n, --node NAME       only the agent of this node
  --kubeconfig FILE     ask through the API server (default: KUBECONFIG, then ~/.kube/config);
                        on a node, root asks the agent there, without it
  --context NAME        context of the kubeconfig (default: the current one)
  --namespace NAME      where weft is installed (default: weft)`;

export type Parsed = {
  readonly where: Where;
  readonly json: boolean;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
};

/** `own`: further options of the verb; `json`: it has a `-o json`. Throws UsageError. */
export function parseOptions(
  args: readonly string[],
  own: Readonly<Record<string, Kind>> = {},
  { json = true }: { readonly json?: boolean } = {},
): Parsed {
  const options = { ...WHERE, ...(json && { output: { type: 'string', short: 'o' } as const }), ...own };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const text = (name: string): string | undefined =>
      values[name as keyof typeof values] as string | undefined;
    const output = text('output');
    if (output !== undefined && output !== 'json')
      throw new UsageError(`there is no output ${output}: leave -o away for text, or say -o json`);
    return {
      where: {
        node: text('node'),
        kubeconfig: text('kubeconfig'),
        context: text('context'),
        namespace: text('namespace') ?? 'weft',
      },
      json: output === 'json',
      values: values as Parsed['values'],
      positionals,
    };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }
}
