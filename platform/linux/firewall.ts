/**
 * Other people's packet filters, which are read, and into whose forward chains a few rules of ours may go. nftables and
 * iptables-nft through `nft`; iptables-legacy through its own program, and only where its filter table is loaded.
 */
import { readFileSync } from 'node:fs';
import { LinuxError } from './errors.ts';
import { countingExec, type Exec } from './exec.ts';

export type LegacyFirewall = {
  /** `iptables -v -n -L CHAIN`. */
  readonly list: (chain: string) => Promise<string>;
  /** Whether the chain FORWARD has this rule. */
  readonly has: (rule: readonly string[]) => Promise<boolean>;
  readonly append: (rule: readonly string[]) => Promise<void>;
  readonly remove: (rule: readonly string[]) => Promise<void>;
};

export type Firewalls = {
  /** `nft list chains`: the heads of all chains, without rules. */
  readonly chains: () => Promise<string>;
  /** `nft -a list chain`. */
  readonly chain: (family: string, table: string, chain: string) => Promise<string>;
  /** `nft list tables`: a line each, `table FAMILY NAME`. */
  readonly tables: () => Promise<string>;
  /** Text of one whole table. */
  readonly table: (family: string, table: string) => Promise<string>;
  /** One transaction. */
  readonly apply: (text: string) => Promise<void>;
  /** Absent where the kernel has no filter table of iptables-legacy in this namespace. */
  readonly legacy: (family: 4 | 6) => LegacyFirewall | undefined;
};

/** Listing it with the program would load it. */
function legacyLoaded(family: 4 | 6): boolean {
  try {
    const names = readFileSync(family === 4 ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names');
    return names.toString().split('\n').includes('filter');
  } catch {
    return false;
  }
}

/** One program for both families, so that the image needs no links. `-w`: others hold the lock for moments only. */
const legacyArgv = (family: 4 | 6, ...args: readonly string[]): readonly string[] => [
  'xtables-legacy-multi',
  family === 4 ? 'iptables' : 'ip6tables',
  '-w',
  '5',
  ...args,
];

const ABSENT = /does a matching rule exist/;

function legacyOver(exec: Exec, family: 4 | 6): LegacyFirewall {
  const run = (...args: readonly string[]): Promise<string> => exec(legacyArgv(family, ...args));
  return {
    list: chain => run('-v', '-n', '-L', chain),
    has: async rule => {
      try {
        await run('-C', 'FORWARD', ...rule);
        return true;
      } catch (error) {
        if (error instanceof LinuxError && ABSENT.test(error.message)) return false;
        throw error;
      }
    },
    append: async rule => void (await run('-A', 'FORWARD', ...rule)),
    remove: async rule => void (await run('-D', 'FORWARD', ...rule)),
  };
}

export function openFirewalls(spawned: () => void = () => {}): Firewalls {
  const exec = countingExec(spawned);
  return {
    chains: () => exec(['nft', 'list', 'chains']),
    chain: (family, table, chain) => exec(['nft', '-a', 'list', 'chain', family, table, chain]),
    tables: () => exec(['nft', 'list', 'tables']),
    table: (family, table) => exec(['nft', '-t', 'list', 'table', family, table]),
    apply: async text => void (await exec(['nft', '-f', '-'], text)),
    legacy: family => (legacyLoaded(family) ? legacyOver(exec, family) : undefined),
  };
}
