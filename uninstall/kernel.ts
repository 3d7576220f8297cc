/** Takes out of the kernel what weft has put there: links, routes, tables, rules in others' chains, settings. */
import { rmSync } from 'node:fs';
import { removeForward } from '../host/ensure.ts';
import type { Firewalls } from '../platform/linux/firewall.ts';
import { type Changed, readSysctlRecord, saveSysctlRecord } from '../platform/linux/sysctlrecord.ts';
import type { Kernel, Sysctls } from '../platform/linux/types.ts';
import { FORWARDERS, isOwnLinksSetting, ownLinks, ownTables } from './own.ts';
import type { Removal } from './types.ts';

/** Runs one kind of removal; an error is a fact, and the others go on. */
export async function attempt(
  what: string,
  work: () => Promise<readonly Removal[]> | readonly Removal[],
): Promise<readonly Removal[]> {
  try {
    return await work();
  } catch (error) {
    return [{ kind: 'failed', what, error: error instanceof Error ? error.message : String(error) }];
  }
}

const removed = (what: string): Removal => ({ kind: 'removed', what });

/** wireguard-go ends by itself when its link goes. */
async function removeLinks({ links }: Kernel): Promise<readonly Removal[]> {
  const gone: Removal[] = [];
  for (const name of ownLinks((await links.list()).map(link => link.name)))
    gone.push(
      ...(await attempt(`link ${name}`, async () => {
        await links.remove(name);
        return [removed(`link ${name}`)];
      })),
    );
  return gone;
}

async function removeRoutes({ routes }: Kernel): Promise<readonly Removal[]> {
  const gone: Removal[] = [];
  for (const route of await routes.ours())
    gone.push(
      ...(await attempt(`route ${route.dst}`, async () => {
        await routes.remove(route);
        return [removed(`${route.kind === 'unreachable' ? 'unreachable ' : ''}route ${route.dst}`)];
      })),
    );
  return gone;
}

async function removeTables(firewalls: Firewalls): Promise<readonly Removal[]> {
  const tables = ownTables(await firewalls.tables());
  if (tables.length === 0) return [];
  await firewalls.apply(tables.map(({ family, name }) => `delete table ${family} ${name}\n`).join(''));
  return tables.map(({ family, name }) => removed(`nft table ${family} ${name}`));
}

async function removeForwardRules(firewalls: Firewalls): Promise<readonly Removal[]> {
  const places = await removeForward(firewalls);
  return places > 0 ? [removed(`rules in ${places} forward chains of others`)] : [];
}

const forwards = (key: string): boolean => key.endsWith('forwarding') || key.endsWith('ip_forward');

/**
 * Puts back what is still as we wrote it. Forwarding stays on where somebody else may need it by now, and with it
 * accept_ra: a host that forwards needs 2 to keep its default route.
 */
async function restoreSysctl(
  sysctls: Sysctls,
  key: string,
  { before, ours }: Changed,
  others: readonly string[],
): Promise<readonly Removal[]> {
  if (isOwnLinksSetting(key) || before === ours || (await sysctls.read(key)) !== ours) return [];
  const what = `net/${key} from ${ours} to ${before}`;
  if (others.length > 0 && (forwards(key) || key.endsWith('accept_ra')))
    return [{ kind: 'left', what, why: `${others.join(', ')} may need it` }];
  await sysctls.write(key, before);
  return [removed(what)];
}

/** What could not be put back stays on record, and nothing else: a later run tries it again. */
async function restoreSysctls({ sysctls, links }: Kernel, path: string): Promise<readonly Removal[]> {
  const record = readSysctlRecord(path);
  const others = (await links.list()).map(link => link.name).filter(name => FORWARDERS.test(name));
  const done: Removal[] = [];
  const owed: [string, Changed][] = [];
  for (const [key, changed] of Object.entries(record).reverse()) {
    const result = await attempt(`setting net/${key} from ${changed.ours} to ${changed.before}`, () =>
      restoreSysctl(sysctls, key, changed, others),
    );
    done.push(...result);
    if (result.some(({ kind }) => kind === 'failed')) owed.unshift([key, changed]);
  }
  if (owed.length > 0) saveSysctlRecord(path, Object.fromEntries(owed));
  else rmSync(path, { force: true });
  return done;
}

/** In the order in which nothing is ever open: the rules that drop go last. */
export async function uninstallKernel(
  kernel: Kernel,
  firewalls: Firewalls,
  sysctlRecord: string,
): Promise<readonly Removal[]> {
  return [
    ...(await attempt('links', () => removeLinks(kernel))),
    ...(await attempt('routes', () => removeRoutes(kernel))),
    ...(await attempt('rules in forward chains of others', () => removeForwardRules(firewalls))),
    ...(await attempt('settings of the kernel', () => restoreSysctls(kernel, sysctlRecord))),
    ...(await attempt('nft tables', () => removeTables(firewalls))),
  ];
}
