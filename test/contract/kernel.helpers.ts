/** What the cases of the kernel contract share. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCidr, parseIp } from '../../ip.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import type { Kernel, Link } from '../../platform/linux/types.ts';
import type { Cidr, Ip, Result } from '../../types.ts';

export type Subject = {
  readonly kernel: Kernel;
  /** Makes a veth that is down and whose other end, `NAMEp`, is up: no verb of `Kernel` makes one. */
  readonly addVeth: (name: string) => Promise<void>;
};

/** The tables that the cases make. */
export const TABLE = 'contract';

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.error);
  return result.value;
};
export const ip = (text: string): Ip => value(parseIp(text));
export const cidr = (text: string): Cidr => value(parseCidr(text));

export async function clean(kernel: Kernel): Promise<void> {
  for (const link of await kernel.links.list())
    if (link.name !== 'lo') await kernel.links.remove(link.name).catch(() => undefined);
  for (const route of await kernel.routes.ours()) await kernel.routes.remove(route);
  for (const family of ['inet', 'bridge'])
    if ((await kernel.nft.list(family, TABLE)) !== undefined)
      await kernel.nft.apply(`delete table ${family} ${TABLE}\n`);
}

/** Rejects with a LinuxError of one of these codes; a program's error has no errno and is EFAILED. */
export async function fails(promise: Promise<unknown>, ...codes: readonly string[]): Promise<void> {
  await assert.rejects(promise, error => {
    assert.ok(error instanceof LinuxError, String(error));
    assert.ok(codes.includes(error.code), `${error.code} is not ${codes.join(' or ')}: ${error.message}`);
    return true;
  });
}

export async function linkOf(kernel: Kernel, name: string): Promise<Link> {
  const link = await kernel.links.get(name);
  assert.ok(link, `there is no link ${name}`);
  return link;
}

/** A link that is up and has a carrier, with the addresses given. */
export async function upLink(
  { kernel, addVeth }: Subject,
  name: string,
  ...addresses: readonly string[]
): Promise<void> {
  await addVeth(name);
  await kernel.links.change(name, { up: true });
  for (const address of addresses) await kernel.addresses.add({ link: name, address });
}

/** Waits up to 5 s for a condition. */
export async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 250; tries += 1) {
    if (await check()) return;
    await sleep(20);
  }
  assert.fail(`not within 5 s: ${what}`);
}
