/** nft's listings of other people's chains → base chains, rules, and what drops everything. Pure. */
import type { BaseChain, Rule } from './types.ts';

const TABLE = /^table (\S+) (\S+) \{/;
const CHAIN = /^\tchain (\S+) \{/;
const BASE = /^\t\ttype filter hook (forward|input) priority [^;]+; policy (accept|drop);/;
const FAMILIES = ['ip', 'ip6', 'inet'];

/** Base chains of `nft list chains` in the hooks forward and input, families ip, ip6 and inet. */
export function baseChains(listing: string): readonly BaseChain[] {
  let family = '';
  let table = '';
  let name = '';
  const found: BaseChain[] = [];
  for (const line of listing.split('\n')) {
    const [, f, t] = TABLE.exec(line) ?? [];
    if (f !== undefined && t !== undefined) [family, table] = [f, t];
    name = CHAIN.exec(line)?.[1] ?? name;
    const [, hook, policy] = BASE.exec(line) ?? [];
    if (hook !== undefined && FAMILIES.includes(family))
      found.push({ family, table, name, hook, policy } as BaseChain);
  }
  return found;
}

/** Names of all chains of `nft list chains`, in whatever table. */
export const chainNames = (listing: string): readonly string[] =>
  listing.split('\n').flatMap(line => CHAIN.exec(line)?.[1] ?? []);

const HANDLE = /^\t\t(.*) # handle (\d+)$/;

/** Rules of one chain's listing by `nft -a list chain`. */
export const chainRules = (listing: string): readonly Rule[] =>
  listing.split('\n').flatMap(line => {
    const [, text, handle] = HANDLE.exec(line) ?? [];
    return text === undefined || text.startsWith('type ') ? [] : [{ text, handle: Number(handle) }];
  });

const COUNTER = /counter packets \d+ bytes \d+ ?/;
/** What a rule does beside its verdict. At its beginning only: names of chains hold such words too, `x-logging`. */
const ASIDE =
  /^(counter packets \d+ bytes \d+ |log( prefix "[^"]*")?( (level|group|flags|snaplen|queue-threshold) \S+)* )*/;

/** What a rule does to every packet: its verdict, where nothing stands before it. */
function unconditional(rule: Rule): string | undefined {
  // Matches of iptables that nft cannot spell are printed as nothing between two spaces.
  if (rule.text.startsWith(' ') || rule.text.includes('  ')) return undefined;
  const bare = rule.text.replace(ASIDE, '');
  return /^(drop|reject|accept|return|jump|goto)\b/.test(bare) ? bare : undefined;
}

/** Chains that are looked into below a base chain. */
const DEPTH = 4;

/** What becomes of every packet that reaches a chain; undefined: some of them come to its end. */
export type Fate = { readonly kind: 'accepted' } | { readonly kind: 'dropped'; readonly by: string };

/** `listing` gives the listing of a chain of the same table; `until` marks rules behind which nothing counts. */
async function fateIn(
  chain: string,
  listing: (chain: string) => Promise<string>,
  until: (rule: Rule) => boolean,
  depth: number,
): Promise<Fate | undefined> {
  for (const rule of chainRules(await listing(chain))) {
    if (until(rule)) return undefined;
    const [verdict, target = ''] = (unconditional(rule) ?? '').split(' ');
    if (verdict === 'accept') return { kind: 'accepted' };
    if (verdict === 'return') return undefined;
    if (verdict === 'drop' || verdict === 'reject')
      return { kind: 'dropped', by: `${chain}: ${rule.text.replace(COUNTER, '').trim()}` };
    if (target === '' || depth === 0) continue;
    // One that is gone again, as in the middle of a reload, has dropped nothing.
    const below = await fateIn(target, listing, until, depth - 1).catch(() => undefined);
    if (below !== undefined || verdict === 'goto') return below;
  }
  return undefined;
}

/**
 * The first rule that drops every packet that reaches it, where it stands before the end of the chain: nothing that is
 * appended has an effect. `until` marks the rules that are ours.
 */
export async function blockedBy(
  chain: string,
  listing: (chain: string) => Promise<string>,
  until: (rule: Rule) => boolean = () => false,
): Promise<string | undefined> {
  const fate = await fateIn(chain, listing, until, DEPTH);
  return fate?.kind === 'dropped' ? fate.by : undefined;
}
