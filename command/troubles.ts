import { isFull, POOL_CURE, type PoolFigures, poolText } from '../cni/pools.ts';

/** What a person should look at on one node, but its peers. `weft status` and the dashboard say the same. Pure. */

export type Trouble = { readonly node: string; readonly about: string; readonly message: string };

type Api = { readonly connected: boolean; readonly error?: string | undefined };

/** Of an agent's `/status`; an agent of another version may leave some away. */
export type Told = {
  readonly parts: readonly {
    readonly part: string;
    readonly ready: boolean;
    readonly reason?: string | undefined;
  }[];
  readonly excluded: readonly { readonly node: string; readonly reason: string }[];
  readonly warnings: readonly { readonly node: string; readonly message: string }[];
  readonly host?:
    | {
        readonly findings: readonly {
          readonly severity: string;
          readonly what: string;
          readonly cure?: string | undefined;
        }[];
      }
    | undefined;
  readonly cni?: { readonly pools?: readonly PoolFigures[] } | undefined;
  readonly api?: Api | undefined;
  readonly policy?: { readonly enabled: boolean; readonly error?: string | undefined } | undefined;
};

type Own = Omit<Trouble, 'node'>;

export const apiText = (api: Api): string =>
  api.connected ? 'connected' : `not connected: ${api.error ?? 'not yet'}`;

const nodesOf = (node: string, { excluded, warnings }: Told): readonly Own[] =>
  [
    ...excluded.map(e => ({ of: e.node, message: `is not in the mesh: it ${e.reason}` })),
    ...warnings.map(w => ({ of: w.node, message: w.message })),
  ].map(({ of, message }) => ({ about: of === node ? 'this node' : of, message }));

const hostOf = ({ host }: Told): readonly Own[] =>
  (host?.findings ?? [])
    .filter(f => f.severity !== 'info')
    .map(f => ({ about: 'host', message: f.cure === undefined ? f.what : `${f.what}. Cure: ${f.cure}` }));

const policyOf = ({ policy }: Told): readonly Own[] =>
  policy?.error === undefined
    ? []
    : [{ about: 'policy', message: `rules are not in the kernel: ${policy.error}` }];

const poolsOf = ({ cni }: Told): readonly Own[] =>
  (cni?.pools ?? []).filter(isFull).map(pool => ({
    about: 'pod addresses',
    message: `podCIDR ${poolText(pool)}: no further pod starts here. Cure: ${POOL_CURE}`,
  }));

export const ownTroubles = (node: string, told: Told): readonly Own[] => [
  ...told.parts.filter(p => !p.ready).map(p => ({ about: p.part, message: p.reason ?? 'not ready' })),
  ...nodesOf(node, told),
  ...hostOf(told),
  ...policyOf(told),
  ...poolsOf(told),
  ...(told.api?.connected === false ? [{ about: 'API server', message: apiText(told.api) }] : []),
];
