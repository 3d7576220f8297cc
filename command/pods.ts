/** Agents' pods, as the API server has them → whom to ask, and why one cannot be asked. Pure. */
import type { AgentRef } from './agents.ts';

export type Pod = {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly message?: string;
    readonly containerStatuses?: readonly {
      readonly state?: ContainerState;
      readonly lastState?: ContainerState;
    }[];
  };
};

type ContainerState = {
  readonly running?: unknown;
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly terminated?: { readonly reason?: string; readonly message?: string; readonly exitCode?: number };
};

/** What it said last is the kubelet's copy of its log's end, where it failed. */
const LAST_WORDS = 600;

const lastWords = (message: string | undefined): string => {
  const words = message
    ?.trim()
    .replaceAll(/:\s*\n\s*/g, ': ')
    .replaceAll(/\s*\n\s*/g, '; ');
  if (words === undefined || words === '') return '';
  return `: ${words.length > LAST_WORDS ? `…${words.slice(-LAST_WORDS)}` : words}`;
};

function absence({ metadata, status }: Pod): string | undefined {
  const { state, lastState } = status?.containerStatuses?.[0] ?? {};
  if (state?.running !== undefined) return undefined;
  const why = state?.waiting?.reason ?? state?.terminated?.reason ?? status?.phase ?? 'unknown';
  const said =
    state?.terminated?.message ??
    lastState?.terminated?.message ??
    state?.waiting?.message ??
    status?.message;
  return `its pod ${metadata.name} is not running (${why})${lastWords(said)}. See kubectl -n weft describe pod ${metadata.name}`;
}

const refOf = (pod: Pod): AgentRef => ({
  node: pod.spec.nodeName ?? '',
  pod: pod.metadata.name,
  absent: absence(pod),
});

/** Of two pods on one node, as in a rollout, the one that runs. Sorted by node. */
export function byNode(pods: readonly Pod[]): readonly AgentRef[] {
  const refs = new Map<string, AgentRef>();
  for (const ref of pods.map(refOf).filter(r => r.node !== ''))
    if (refs.get(ref.node)?.absent !== undefined || !refs.has(ref.node)) refs.set(ref.node, ref);
  return [...refs.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}
