/** Puts our rules into forward chains of others that drop what they do not know, and takes them out again. */
import type { Firewalls, LegacyFirewall } from '../platform/linux/firewall.ts';
import type { Cidr } from '../types.ts';
import { baseChains, blockedBy, chainNames } from './chains.ts';
import { firewalldFact, isFirewalld } from './firewalld.ts';
import { forwardRemoval, forwardText, isOurs, legacyRule, WAYS } from './forward.ts';
import { legacyBlockedBy, legacyPolicy } from './legacy.ts';
import type { BaseChain, FirewalldFact, ForwardFact } from './types.ts';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Ours end in `accept` policies, and would open nothing. */
const ofOthers = (chains: readonly BaseChain[]): readonly BaseChain[] =>
  chains.filter(({ family, table }) => !(family === 'inet' && /^weft(-|$)/.test(table)));

/** A chain with policy accept may still end in a rule that drops the rest, as firewalld's does. */
async function ensureChain(firewalls: Firewalls, chain: BaseChain): Promise<ForwardFact | undefined> {
  const { family, table, name } = chain;
  const listings = new Map<string, Promise<string>>();
  const listing = (of: string): Promise<string> => {
    const text = listings.get(of) ?? firewalls.chain(family, table, of);
    listings.set(of, text);
    return text;
  };
  const fact = { kind: 'nft', chain, ours: false, blockedBy: undefined, error: undefined } as const;
  try {
    const blocked = await blockedBy(name, listing, isOurs);
    if (blocked !== undefined) return { ...fact, blockedBy: blocked };
    if (chain.policy === 'accept') return undefined;
    const text = forwardText(chain, await listing(name));
    if (text !== '') await firewalls.apply(text);
    return { ...fact, ours: true };
  } catch (error) {
    return { ...fact, error: messageOf(error) };
  }
}

async function ensureLegacy(firewall: LegacyFirewall, family: 4 | 6): Promise<ForwardFact | undefined> {
  const chain = {
    family: family === 4 ? 'ip' : 'ip6',
    table: 'filter',
    name: 'FORWARD',
    hook: 'forward',
  } as const;
  const fact = { kind: 'legacy', ours: false, blockedBy: undefined, error: undefined } as const;
  try {
    const policy = legacyPolicy(await firewall.list('FORWARD'));
    const blocked = await legacyBlockedBy('FORWARD', firewall.list);
    if (blocked !== undefined) return { ...fact, chain: { ...chain, policy }, blockedBy: blocked };
    if (policy === 'accept') return undefined;
    for (const rule of WAYS.map(legacyRule)) if (!(await firewall.has(rule))) await firewall.append(rule);
    return { ...fact, chain: { ...chain, policy }, ours: true };
  } catch (error) {
    return { ...fact, chain: { ...chain, policy: 'drop' }, error: messageOf(error) };
  }
}

export type FirewallLook = {
  readonly forward: readonly ForwardFact[];
  /** Input chains of others with policy drop. */
  readonly input: readonly BaseChain[];
  /** Names of all chains that nft shows. */
  readonly chains: readonly string[];
  /** iptables-legacy is in use; it tells no news. */
  readonly legacy: boolean;
};

/** One look at all forward chains, in which ours is put right. One that fails is a fact, and the others go on. */
export async function ensureForward(firewalls: Firewalls): Promise<FirewallLook> {
  const listing = await firewalls.chains();
  const chains = ofOthers(baseChains(listing));
  const forward: ForwardFact[] = [];
  for (const chain of chains.filter(({ hook }) => hook === 'forward')) {
    const fact = await ensureChain(firewalls, chain);
    if (fact !== undefined) forward.push(fact);
  }
  let legacy = false;
  for (const family of [4, 6] as const) {
    const firewall = firewalls.legacy(family);
    const fact = firewall && (await ensureLegacy(firewall, family));
    if (fact !== undefined) forward.push(fact);
    legacy ||= firewall !== undefined;
  }
  const input = chains.filter(c => c.hook === 'input' && c.policy === 'drop');
  return { forward, input, chains: chainNames(listing), legacy };
}

/** Of each of firewalld's forward chains that can be read; iptables-legacy has no text that nft could print. */
export async function readFirewalld(
  firewalls: Firewalls,
  { forward }: FirewallLook,
  cidrs: readonly Cidr[],
  port: number,
): Promise<readonly FirewalldFact[]> {
  const chains = forward.filter(fact => fact.kind === 'nft' && isFirewalld(fact)).map(fact => fact.chain);
  const facts = chains.map(async chain => {
    const text = await firewalls.table(chain.family, chain.table).catch(() => undefined);
    return text === undefined ? [] : [firewalldFact(chain, text, cidrs, port)];
  });
  return (await Promise.all(facts)).flat();
}

/** Takes our rules out of every chain of others; the number of places where there were any. */
export async function removeForward(firewalls: Firewalls): Promise<number> {
  let places = 0;
  for (const chain of ofOthers(baseChains(await firewalls.chains())).filter(c => c.hook === 'forward')) {
    const text = forwardRemoval(chain, await firewalls.chain(chain.family, chain.table, chain.name));
    if (text === '') continue;
    await firewalls.apply(text);
    places += 1;
  }
  for (const family of [4, 6] as const) {
    const firewall = firewalls.legacy(family);
    let found = false;
    for (const rule of firewall === undefined ? [] : WAYS.map(legacyRule))
      while (await firewall?.has(rule)) {
        await firewall?.remove(rule);
        found = true;
      }
    places += Number(found);
  }
  return places;
}
