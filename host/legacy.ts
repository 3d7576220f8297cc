/** What `iptables-legacy -v -n -L CHAIN` says. Pure. */
import type { Fate } from './chains.ts';

const POLICY = /^Chain \S+ \(policy (ACCEPT|DROP)/m;

/** Policy of a built-in chain. */
export const legacyPolicy = (listing: string): 'accept' | 'drop' =>
  POLICY.exec(listing)?.[1] === 'DROP' ? 'drop' : 'accept';

type LegacyRule = {
  readonly target: string;
  readonly conditional: boolean;
  readonly ours: boolean;
};

/** Columns: pkts bytes target prot opt in out source destination, and after them matches, if any. */
const LINE =
  /^\s*\S+\s+\S+\s+(\S+)\s+(all|0)\s+\S+\s+(\S+)\s+(\S+)\s+(0\.0\.0\.0\/0|::\/0)\s+(0\.0\.0\.0\/0|::\/0)\s*(.*)$/;

const HARMLESS = /^(\/\*.*\*\/|reject-with \S+|\[\d+ bytes of unknown target data\]|\s)*$/;

function rules(listing: string): readonly LegacyRule[] {
  return listing
    .split('\n')
    .slice(2)
    .flatMap(line => {
      const [, target, , from, to, , , rest = ''] = LINE.exec(line) ?? [];
      if (target === undefined) return [];
      const conditional = from !== '*' || to !== '*' || !HARMLESS.test(rest);
      return [{ target, conditional, ours: rest.includes('/* weft */') }];
    });
}

async function fateIn(
  chain: string,
  listing: (chain: string) => Promise<string>,
  depth: number,
): Promise<Fate | undefined> {
  for (const { target, conditional, ours } of rules(await listing(chain))) {
    if (ours) return undefined;
    if (conditional || target === 'LOG') continue;
    if (target === 'ACCEPT') return { kind: 'accepted' };
    if (target === 'RETURN') return undefined;
    if (target === 'DROP' || target === 'REJECT') return { kind: 'dropped', by: `${chain}: -j ${target}` };
    const below = depth > 0 ? await fateIn(target, listing, depth - 1).catch(() => undefined) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}

/** As `blockedBy` for nft: the first rule that drops all, before ours. */
export async function legacyBlockedBy(
  chain: string,
  listing: (chain: string) => Promise<string>,
): Promise<string | undefined> {
  const fate = await fateIn(chain, listing, 4);
  return fate?.kind === 'dropped' ? fate.by : undefined;
}
