/**
 * Pods' limits in the kernel, on the node's side of the wire, where no pod can lift them: what a
 * pod receives waits at the exit of its host link, what it sends at that of a link made for it.
 */
import { LIMIT_PREFIX } from '../constants.ts';
import { isExists, isNotFound, LinuxError } from '../platform/linux/errors.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { addShapingLink, redirectEntry, shapedLinks, shapeExit } from '../platform/linux/tc.ts';
import type { Link } from '../platform/linux/types.ts';
import type { Book } from './book.ts';
import { CniError, CODES } from './errors.ts';
import type { Keyed } from './keyed.ts';
import { type Lease, leaseKey } from './lease.ts';

/** The host link's name with another prefix. */
const shapingLink = (lease: Lease): string => LIMIT_PREFIX + lease.link.slice(LIMIT_PREFIX.length);

export type Limiter = {
  /** From now on they hold. Rejects with CniError where the kernel cannot. */
  readonly apply: (lease: Lease) => Promise<void>;
  /** To be called when the host link is gone. What is gone already is no error. */
  readonly remove: (lease: Lease) => Promise<void>;
  /** What of them does not hold, in words. */
  readonly faults: (lease: Lease) => Promise<readonly string[]>;
  /** Mends and clears; the number of changes. Nothing is read while nobody is limited. */
  readonly ensure: () => Promise<number>;
};

async function linkOf(kernel: LinuxKernel, name: string): Promise<Link> {
  const link = await kernel.links.get(name);
  if (link === undefined) throw new LinuxError('ENODEV', `there is no link ${name}`);
  return link;
}

async function shape(kernel: LinuxKernel, lease: Lease): Promise<void> {
  const { ingress, egress } = lease.limits ?? {};
  const { index } = await linkOf(kernel, lease.link);
  if (ingress !== undefined) await shapeExit(kernel.rt, index, ingress);
  if (egress === undefined) return;
  const name = shapingLink(lease);
  await addShapingLink(kernel.rt, name).catch(error => {
    if (!isExists(error)) throw error;
  });
  await kernel.links.change(name, { up: true });
  const { index: there } = await linkOf(kernel, name);
  await shapeExit(kernel.rt, there, egress);
  await redirectEntry(kernel.rt, index, there);
}

export function openLimiter({
  kernel,
  book,
  keyed,
}: {
  readonly kernel: LinuxKernel;
  readonly book: Book;
  readonly keyed: Keyed;
}): Limiter {
  let quiet = false;

  const apply: Limiter['apply'] = async lease => {
    if (lease.limits === undefined) return;
    quiet = false;
    await shape(kernel, lease).catch(error => {
      if (!(error instanceof LinuxError) || error.code !== 'EOPNOTSUPP') throw error;
      throw new CniError(
        CODES.unsupportedField,
        `bandwidth cannot be limited on this node: ${error.message}`,
        'load the module, or take the annotations kubernetes.io/ingress-bandwidth and egress-bandwidth from the pod',
      );
    });
  };

  const removeLink = (name: string): Promise<void> =>
    kernel.links.remove(name).catch(error => {
      if (!isNotFound(error)) throw error;
    });

  const remove: Limiter['remove'] = async lease => {
    if (lease.limits?.egress !== undefined) await removeLink(shapingLink(lease));
  };

  const missing = (lease: Lease, links: ReadonlyMap<string, Link>, shaped: ReadonlySet<number>) => {
    const holds = (name: string): boolean => shaped.has(links.get(name)?.index ?? 0);
    const { ingress, egress } = lease.limits ?? {};
    return [
      ...(ingress === undefined || holds(lease.link) ? [] : ['its limit on what it receives is missing']),
      ...(egress === undefined || holds(shapingLink(lease)) ? [] : ['its limit on what it sends is missing']),
    ];
  };

  const look = async () => {
    const links = new Map((await kernel.links.list()).map(link => [link.name, link]));
    return { links, shaped: await shapedLinks(kernel.rt) };
  };

  const faults: Limiter['faults'] = async lease => {
    if (lease.limits === undefined) return [];
    const { links, shaped } = await look();
    return missing(lease, links, shaped);
  };

  const ensure: Limiter['ensure'] = async () => {
    if (quiet) return 0;
    const { links, shaped } = await look();
    // After the look: the link of a pod that came meanwhile is no stray.
    const limited = book.all().filter(lease => lease.limits !== undefined);
    const known = new Set(limited.map(shapingLink));
    const stray = [...links.keys()].filter(name => name.startsWith(LIMIT_PREFIX) && !known.has(name));
    for (const name of stray) await removeLink(name);
    const broken = limited.filter(
      lease =>
        links.has(lease.link) && missing(lease, links, shaped).length > 0 && !keyed.busy(leaseKey(lease)),
    );
    for (const lease of broken) await keyed.run(leaseKey(lease), () => shape(kernel, lease));
    quiet = !book.all().some(lease => lease.limits !== undefined);
    return stray.length + broken.length;
  };

  return { apply, remove, faults, ensure };
}
