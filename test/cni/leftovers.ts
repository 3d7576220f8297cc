/** What a node has of pods, read from outside: kernel and files, not the agent's word. */
import { readdirSync, readFileSync } from 'node:fs';
import { listedElements } from '../../cni/elements.ts';
import type { Lease } from '../../cni/lease.ts';
import { DEL_QUEUE_DIR, LEASE_DIR, NFT_TABLE } from '../../constants.ts';
import type { Namespace } from '../lab/namespace.ts';

export type Traces = {
  readonly leases: readonly Lease[];
  readonly links: readonly string[];
  /** `link address`, sorted. */
  readonly routes: readonly string[];
  readonly neighbours: readonly string[];
  readonly elements: number;
  /** Other files in the lease directory, and DELs that wait. */
  readonly files: readonly string[];
};

type Entry = {
  readonly dst?: string;
  readonly dev?: string;
  readonly ifname?: string;
  readonly state?: string[];
};

const ipJson = async (at: Namespace, ...args: readonly string[]): Promise<readonly Entry[]> => {
  const text = await at.run(['ip', '-j', ...args]);
  return text.trim() === '' ? [] : (JSON.parse(text) as Entry[]);
};

/** None where the lease was removed between the list and the look. */
function leaseAt(path: string): readonly Lease[] {
  try {
    return [JSON.parse(readFileSync(path, 'utf8')) as Lease];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const filesIn = (dir: string): readonly string[] => {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
};

const ofPods = (entries: readonly Entry[]): readonly string[] =>
  entries.flatMap(({ dev, dst }) => (dev?.startsWith('wv') ? [`${dev} ${dst}`] : [])).sort();

async function kernelTraces(at: Namespace) {
  const [links, v4, v6, n4, n6, table] = await Promise.all([
    ipJson(at, 'link'),
    ipJson(at, '-4', 'route'),
    ipJson(at, '-6', 'route'),
    ipJson(at, '-4', 'neigh', 'show', 'nud', 'permanent'),
    ipJson(at, '-6', 'neigh', 'show', 'nud', 'permanent'),
    at.run(['nft', '-s', 'list', 'table', 'bridge', NFT_TABLE]),
  ]);
  const own = (entries: readonly Entry[]) => entries.filter(({ dst }) => !dst?.startsWith('fe80'));
  return {
    links: links.flatMap(({ ifname }) => (ifname?.startsWith('wv') ? [ifname] : [])).sort(),
    routes: ofPods(own([...v4, ...v6])),
    neighbours: ofPods(own([...n4, ...n6])),
    elements: listedElements(table).length,
  };
}

export async function traces(at: Namespace): Promise<Traces> {
  const root = `/proc/${at.pid}/root`;
  const names = filesIn(`${root}${LEASE_DIR}`);
  const leases = names
    .filter(name => !name.startsWith('.'))
    .flatMap(name => leaseAt(`${root}${LEASE_DIR}/${name}`));
  const files = [
    ...names.filter(name => name.startsWith('.')),
    // What a killed agent wrote by half is dropped after a minute, and of no weight until then.
    ...filesIn(`${root}${DEL_QUEUE_DIR}`)
      .filter(name => !name.startsWith('.'))
      .map(name => `queued ${name}`),
  ];
  return { leases, files, ...(await kernelTraces(at)) };
}

/** What does not belong together, in words; empty where all does. */
export function disagreements({
  leases,
  files,
  links,
  routes,
  neighbours,
  elements,
}: Traces): readonly string[] {
  const wanted = leases.flatMap(({ link, ips }) => ips.map(ip => `${link} ${ip}`)).sort();
  const ips = leases.flatMap(lease => lease.ips);
  const elementsWanted = leases.reduce((sum, lease) => sum + 1 + lease.ips.length, 0);
  const differ = (what: string, a: readonly string[], b: readonly string[]): readonly string[] =>
    a.join() === b.join()
      ? []
      : [`${what}: ${a.join(', ') || 'none'}; by the leases: ${b.join(', ') || 'none'}`];
  return [
    ...files.map(file => `file ${file}`),
    ...(new Set(ips).size === ips.length ? [] : [`an address is held twice: ${ips.join(', ')}`]),
    ...differ('links', links, leases.map(lease => lease.link).sort()),
    ...differ('routes', routes, wanted),
    ...differ('neighbours', neighbours, wanted),
    ...(elements === elementsWanted ? [] : [`${elements} set elements instead of ${elementsWanted}`]),
  ];
}
